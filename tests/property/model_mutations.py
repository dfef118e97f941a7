"""Models to damage, and ways to damage them, for the fuzz of the import."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

Draw = st.DataObject
Mutation = Callable[[ModelProto, Draw], None]

SIZES = (-1, 0, 1, 2, 3, 7, 64, 2**16, 2**31 - 1, 2**31, 2**40, 2**62)
ELEMENT_TYPES = sorted(TensorProto.DataType.values())
NAMES = ("", "x", "none", "a b", "\u00e4\u2603", "x" * 300)


@lru_cache(maxsize=1)
def seeds() -> tuple[bytes, ...]:
    """Small valid models: graphs of several operators, and the standard's own node cases."""
    from onnx.backend.test.case.node import collect_testcases

    with np.errstate(all="ignore"):
        cases = [case.model for case in collect_testcases(None) if case.model is not None]
    own = [_convolutions(), _attention(), _control_flow(), _recurrent(), _quantised()]
    return tuple(m.SerializeToString() for m in (*own * 40, *cases))


def _model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[str],
    constants: dict[str, np.ndarray],
    opset: int = 18,
) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "seed",
        inputs,
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def _floats(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def _info(name: str, shape: Sequence[int | str], kind: int = TensorProto.FLOAT) -> object:
    return helper.make_tensor_value_info(name, kind, shape)


def _convolutions() -> ModelProto:
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("MaxPool", ["r"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Resize", ["p", "", "scales"], ["s"], "resize", mode="linear"),
        helper.make_node("Concat", ["s", "r"], ["j"], "join", axis=1),
        helper.make_node("GlobalAveragePool", ["j"], ["g"], "global"),
        helper.make_node("Shape", ["g"], ["shape"], "shape"),
        helper.make_node("Slice", ["shape", "zero", "two"], ["front"], "front"),
        helper.make_node("Reshape", ["g", "front"], ["flat"], "flat"),
        helper.make_node("Gemm", ["flat", "fc", "bias"], ["y"], "fc", transB=1),
    ]
    constants = {
        "w": _floats(4, 3, 3, 3), "b": _floats(4), "fc": _floats(5, 8), "bias": _floats(5),
        "scales": np.array([1, 1, 2, 2], np.float32), "zero": np.array([0]), "two": np.array([2]),
    }  # fmt: skip
    return _model(nodes, [_info("x", ["batch", 3, 8, 8])], ["y"], constants)


def _attention() -> ModelProto:
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["e"], "embed"),
        helper.make_node("LayerNormalization", ["e", "gain"], ["n"], "norm"),
        helper.make_node("MatMul", ["n", "wq"], ["q"], "query"),
        helper.make_node("MatMul", ["n", "wk"], ["k"], "key"),
        helper.make_node("Transpose", ["k"], ["kt"], "turn", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "kt"], ["s"], "scores"),
        helper.make_node("Softmax", ["s"], ["p"], "softmax", axis=-1),
        helper.make_node("MatMul", ["p", "n"], ["m"], "mix"),
        helper.make_node("SkipLayerNormalization", ["m", "n", "gain"], ["y"], "skip",
                         domain="com.microsoft"),
        helper.make_node("TopK", ["y", "two"], ["v", "i"], "top"),
    ]  # fmt: skip
    constants = {
        "table": _floats(16, 8), "gain": _floats(8), "wq": _floats(8, 8), "wk": _floats(8, 8),
        "two": np.array([2]),
    }  # fmt: skip
    inputs = [_info("ids", ["batch", "seq"], TensorProto.INT64)]
    return _model(nodes, inputs, ["v", "i"], constants)


def _branch(name: str, op_type: str, inner: NodeProto | None = None) -> GraphProto:
    nodes = [inner] if inner else [helper.make_node(op_type, ["x"], ["out"], name)]
    return helper.make_graph(nodes, name, [], [helper.make_empty_tensor_value_info("out")])


def _control_flow() -> ModelProto:
    nested = helper.make_node(
        "If", ["flag"], ["out"], "inner",
        then_branch=_branch("a", "Relu"), else_branch=_branch("b", "Tanh"),
    )  # fmt: skip
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"], "keep"),
            helper.make_node("Add", ["carried", "x"], ["next"], "step"),
        ],
        "body",
        [
            _info("i", [], TensorProto.INT64),
            _info("go", [], TensorProto.BOOL),
            _info("carried", [2, 3]),
        ],
        [_info("go_on", [], TensorProto.BOOL), _info("next", [2, 3])],
    )
    nodes = [
        helper.make_node(
            "If", ["flag"], ["chosen"], "outer",
            then_branch=_branch("c", "", nested), else_branch=_branch("d", "Sigmoid"),
        ),
        helper.make_node("Loop", ["trips", "", "chosen"], ["looped"], "loop", body=body),
        helper.make_node("SequenceConstruct", ["looped", "x"], ["seq"], "sequence"),
        helper.make_node("ConcatFromSequence", ["seq"], ["y"], "joined", axis=0),
    ]  # fmt: skip
    inputs = [_info("x", [2, 3]), _info("flag", [], TensorProto.BOOL)]
    return _model(nodes, inputs, ["y"], {"trips": np.array(3)})


def _recurrent() -> ModelProto:
    nodes = [
        helper.make_node("LSTM", ["x", "w", "r", "b"], ["y", "h", ""], "lstm", hidden_size=4),
        helper.make_node("Squeeze", ["h", "axis"], ["s"], "squeeze"),
        helper.make_node("ReduceMean", ["y", "axis"], ["z"], "mean", keepdims=0),
    ]
    constants = {
        "w": _floats(1, 16, 5), "r": _floats(1, 16, 4), "b": _floats(1, 32), "axis": np.array([0]),
    }  # fmt: skip
    return _model(nodes, [_info("x", [6, "batch", 5])], ["s", "z"], constants)


def _quantised() -> ModelProto:
    scale, zero = np.array(0.1, np.float32), np.array(3, np.uint8)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], "quantise"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"], "dequantise"),
        helper.make_node("DequantizeLinear", ["w", "scale"], ["wd"], "weight"),
        helper.make_node("MatMul", ["d", "wd"], ["m"], "product"),
        helper.make_node("MatMulInteger", ["q", "w", "zero"], ["n"], "integer"),
        helper.make_node("Cast", ["n"], ["f"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Add", ["m", "f"], ["y"], "add"),
    ]
    constants = {"scale": scale, "zero": zero, "w": np.ones((4, 5), np.int8)}
    return _model(nodes, [_info("x", [3, 4])], ["y"], constants)


def _pick(draw: Draw, items: Sequence[object], label: str) -> int:
    return draw.draw(st.integers(0, len(items) - 1), label=label)


def _any_node(model: ModelProto, draw: Draw) -> NodeProto | None:
    nodes = model.graph.node
    return nodes[_pick(draw, nodes, "node")] if nodes else None


def _tensors(model: ModelProto) -> list[str]:
    graph = model.graph
    names = [value.name for value in (*graph.input, *graph.output)]
    names += [tensor.name for tensor in graph.initializer]
    names += [name for node in graph.node for name in (*node.input, *node.output)]
    return [*dict.fromkeys(names), *NAMES]


def drop_node(model: ModelProto, draw: Draw) -> None:
    if model.graph.node:
        del model.graph.node[_pick(draw, model.graph.node, "node")]


def repeat_node(model: ModelProto, draw: Draw) -> None:
    if (node := _any_node(model, draw)) is not None:
        model.graph.node.append(node)


def rename_operator(model: ModelProto, draw: Draw) -> None:
    if (node := _any_node(model, draw)) is not None:
        node.op_type = draw.draw(st.sampled_from(_operators()), label="operator")


@lru_cache(maxsize=1)
def _operators() -> list[str]:
    return sorted({schema.name for schema in onnx.defs.get_all_schemas()} | {"", "Custom"})


def change_domain(model: ModelProto, draw: Draw) -> None:
    if (node := _any_node(model, draw)) is not None:
        domains = ["", "ai.onnx", "com.microsoft", "ai.onnx.ml", "com.example", "t10c.newest"]
        node.domain = draw.draw(st.sampled_from(domains), label="domain")


def rewire(model: ModelProto, draw: Draw) -> None:
    """Another tensor as an input: a later one makes a cycle."""
    if (node := _any_node(model, draw)) is not None and node.input:
        index = _pick(draw, node.input, "input")
        node.input[index] = draw.draw(st.sampled_from(_tensors(model)), label="tensor")


def rename_output(model: ModelProto, draw: Draw) -> None:
    if (node := _any_node(model, draw)) is not None and node.output:
        index = _pick(draw, node.output, "output")
        node.output[index] = draw.draw(st.sampled_from(_tensors(model)), label="tensor")


def change_arity(model: ModelProto, draw: Draw) -> None:
    if (node := _any_node(model, draw)) is not None:
        field = draw.draw(st.sampled_from([node.input, node.output]), label="side")
        if field and draw.draw(st.booleans(), label="drop"):
            del field[-1]
        else:
            field.append(draw.draw(st.sampled_from(_tensors(model)), label="tensor"))


def change_attribute(model: ModelProto, draw: Draw) -> None:
    node = _any_node(model, draw)
    if node is None:
        return
    if node.attribute and draw.draw(st.booleans(), label="drop"):
        del node.attribute[_pick(draw, node.attribute, "attribute")]
        return
    wanted = [a.name for a in node.attribute] + ["axis", "axes", "perm", "pads", "to", "group"]
    name = draw.draw(st.sampled_from(wanted), label="attribute")
    value = draw.draw(
        st.one_of(
            st.sampled_from(SIZES),
            st.lists(st.sampled_from(SIZES), max_size=5),
            st.floats(),
            st.text(max_size=4),
        ),
        label="value",
    )
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
    kind = onnx.AttributeProto.INTS if value == [] else None
    node.attribute.append(helper.make_attribute(name, value, attr_type=kind))


def change_type(model: ModelProto, draw: Draw) -> None:
    values = [*model.graph.input, *model.graph.output]
    if values:
        value = values[_pick(draw, values, "value")]
        kind = draw.draw(st.sampled_from(ELEMENT_TYPES), label="type")
        value.type.tensor_type.elem_type = kind


def change_shape(model: ModelProto, draw: Draw) -> None:
    values = [*model.graph.input, *model.graph.output]
    if not values:
        return
    shape = values[_pick(draw, values, "value")].type.tensor_type.shape
    sizes = draw.draw(st.lists(st.sampled_from([*SIZES, "n", "", None]), max_size=5), label="shape")
    del shape.dim[:]
    for size in sizes:
        dim = shape.dim.add()
        if isinstance(size, int):
            dim.dim_value = size
        elif size is not None:
            dim.dim_param = size


def change_one_size(model: ModelProto, draw: Draw) -> None:
    values = [v for v in model.graph.input if v.type.tensor_type.shape.dim]
    if values:
        dims = values[_pick(draw, values, "value")].type.tensor_type.shape.dim
        size = draw.draw(st.sampled_from(SIZES), label="size")
        dims[_pick(draw, dims, "dim")].dim_value = size


def change_initializer(model: ModelProto, draw: Draw) -> None:
    tensors = model.graph.initializer
    if not tensors:
        return
    tensor = tensors[_pick(draw, tensors, "initializer")]
    how = draw.draw(st.sampled_from(["dims", "type", "data", "external", "drop", "name", "values"]))
    if how == "dims":
        tensor.dims[:] = draw.draw(st.lists(st.sampled_from(SIZES), max_size=4), label="dims")
    elif how == "type":
        tensor.data_type = draw.draw(st.sampled_from(ELEMENT_TYPES), label="type")
    elif how == "data":
        tensor.raw_data = draw.draw(st.binary(max_size=16), label="data")
    elif how == "external":
        tensor.data_location = TensorProto.EXTERNAL
        tensor.ClearField("raw_data")
    elif how == "drop":
        tensors.remove(tensor)
    elif how == "name":
        tensor.name = draw.draw(st.sampled_from(_tensors(model)), label="tensor")
    else:
        sizes = draw.draw(st.lists(st.sampled_from(SIZES), max_size=4), label="values")
        tensor.CopyFrom(numpy_helper.from_array(np.array(sizes, np.int64), tensor.name))


def change_opset(model: ModelProto, draw: Draw) -> None:
    version = draw.draw(st.sampled_from([-1, 0, 1, 6, 7, 9, 11, 13, 18, 21, 23, 99]), label="opset")
    for entry in model.opset_import:
        entry.version = version


def wrap_in_if(model: ModelProto, draw: Draw) -> None:
    """A node becomes both branches of an If whose condition is some tensor."""
    if not model.graph.node:
        return
    index = _pick(draw, model.graph.node, "node")
    node = NodeProto()
    node.CopyFrom(model.graph.node[index])
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    branch = helper.make_graph([node], "branch", [], outputs)
    condition = draw.draw(st.sampled_from(_tensors(model)), label="condition")
    model.graph.node[index].CopyFrom(
        helper.make_node(
            "If", [condition], [o.name for o in outputs], then_branch=branch, else_branch=branch
        )
    )


def drop_value(model: ModelProto, draw: Draw) -> None:
    field = draw.draw(st.sampled_from([model.graph.input, model.graph.output]), label="side")
    if field:
        del field[_pick(draw, field, "value")]


MUTATIONS: tuple[Mutation, ...] = (
    drop_node, repeat_node, rename_operator, change_domain, rewire, rename_output, change_arity,
    change_attribute, change_attribute, change_type, change_shape, change_one_size,
    change_one_size, change_initializer, change_initializer, change_opset, wrap_in_if, drop_value,
)  # fmt: skip
