"""What the file declares of tensors that are no inputs: it counts where inference finds nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from onnx import GraphProto, NodeProto

from t10c.onnx_import.names import standard
from t10c.onnx_import.symbols import declared_dimensions, size_of
from t10c.onnx_import.tensors import (
    OpenFact,
    TensorFact,
    check_size,
    element_type_name,
    shape_text,
)

_SHOWN = 3
"""Declarations of inner tensors that warnings name; the rest is counted."""

# Operators whose output has the shape of their first input.
_SAME_SHAPE = frozenset(
    {
        "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "CastLike",
        "Ceil", "Clip", "Cos", "Cosh", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu",
        "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log", "LogSoftmax", "Mish", "Neg",
        "Not", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softmax",
        "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu", "Trilu",
    }
)  # fmt: skip

Declarations = Mapping[str, OpenFact]


def declared_tensors(graph: GraphProto, sizes: Mapping[str, int]) -> dict[str, OpenFact]:
    """Type and shape of the outputs and inner tensors that the file declares.

    Symbols have the sizes given; an unbound one, and a size of 0, which exporters write for open
    dimensions of outputs, are open.
    """
    found: dict[str, OpenFact] = {}
    for value in (*graph.value_info, *graph.output):
        if value.type.WhichOneof("value") != "tensor_type":
            continue
        dimensions = declared_dimensions(value.type)
        dims = None
        if dimensions is not None:
            bound = [size_of(dimension, sizes) for dimension in dimensions]
            dims = tuple(size if isinstance(size, int) and size else None for size in bound)
        found[value.name] = OpenFact(value.type.tensor_type.elem_type, dims)
    return found


def extend_backwards(nodes: Sequence[NodeProto], declared: dict[str, OpenFact]) -> None:
    """Pass declared shapes on to the inputs of operators that keep the shape.

    `nodes` are in topological order; declarations of the file stay.
    """
    for node in reversed(nodes):
        if node.op_type not in _SAME_SHAPE or not standard(node.domain):
            continue
        if not node.input or not node.output or node.output[0] not in declared:
            continue
        dims = declared[node.output[0]].dims
        if dims is not None and declared.get(node.input[0], OpenFact()).dims is None:
            declared[node.input[0]] = OpenFact(0, dims)


def merged(inferred: OpenFact, other: OpenFact) -> OpenFact:
    """What inference knows, its gaps filled from elsewhere; of another rank nothing is taken."""
    element_type = inferred.element_type or other.element_type
    if inferred.dims is None or other.dims is None:
        return OpenFact(element_type, other.dims if inferred.dims is None else inferred.dims)
    if len(inferred.dims) != len(other.dims):
        return OpenFact(element_type, inferred.dims)
    pairs = zip(inferred.dims, other.dims, strict=True)
    return OpenFact(element_type, tuple(b if a is None else a for a, b in pairs))


def closed(name: str, fact: OpenFact) -> TensorFact | None:
    """The tensor if nothing about it is open, else None; InvalidInputError if it is too large."""
    if fact.dims is None or not fact.element_type:
        return None
    shape = tuple(size for size in fact.dims if size is not None)
    if len(shape) < len(fact.dims):
        return None
    check_size(name, shape)
    return TensorFact(fact.element_type, shape)


def contradictions(
    graph: GraphProto, facts: Mapping[str, TensorFact], sizes: Mapping[str, int]
) -> Iterator[str]:
    """Warnings where declared shapes and types are not what inference found, which holds.

    Of outputs all are named, of inner tensors some.
    """
    outputs = {value.name for value in graph.output}
    declared = declared_tensors(graph, sizes)
    wrong = [name for name in declared if name in facts and _differs(declared[name], facts[name])]
    inner = [name for name in wrong if name not in outputs]
    for name in (*(name for name in wrong if name in outputs), *inner[:_SHOWN]):
        what = "output" if name in outputs else "tensor"
        yield f"{what} '{name}' {_difference(declared[name], facts[name])}"
    if len(inner) > _SHOWN:
        yield f"{len(inner) - _SHOWN} more tensors are declared with other shapes than they have"


def _differs(declared: OpenFact, fact: TensorFact) -> bool:
    if declared.element_type not in (0, fact.element_type):
        return True
    return declared.dims is not None and (
        len(declared.dims) != len(fact.shape)
        or any(d not in (None, size) for d, size in zip(declared.dims, fact.shape, strict=True))
    )


def _difference(declared: OpenFact, fact: TensorFact) -> str:
    """`is declared as 2x3 but has the shape 2x4; the declaration is ignored`."""
    if declared.dims is not None and _differs(OpenFact(0, declared.dims), fact):
        said, is_ = _dims_text(declared.dims), f"the shape {shape_text(fact.shape)}"
    else:
        said, is_ = _type_text(declared.element_type), f"the type {_type_text(fact.element_type)}"
    return f"is declared as {said} but has {is_}; the declaration is ignored"


def _type_text(element_type: int) -> str:
    try:
        return element_type_name(element_type)
    except ValueError:
        return f"type {element_type}"


def _dims_text(dims: Iterable[int | None]) -> str:
    return "x".join("?" if size is None else str(size) for size in dims) or "scalar"
