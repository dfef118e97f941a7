"""Tensors of which only a part is held: what a view of them needs must lie somewhere."""

from dataclasses import replace

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import t10c
from t10c.errors import InvalidInputError, VerificationError
from t10c.execute.machine import Machine
from t10c.ir.graph import LayoutOp
from t10c.ir.program import Program, Store
from t10c.program.check import check_program
from t10c.program.views import known_elements
from t10c.program.windows import sliding_windows, strided


def shifted_state() -> tuple[Program, np.ndarray]:
    """A tail of [zeros, x] that has none of the zeros, and so does not read them."""
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in SHAPES.items()]
    nodes = [
        helper.make_node("Concat", ["zeros", "x"], ["padded"], axis=2),
        helper.make_node("Slice", ["padded", "begin", "end", "axis"], ["state"]),
        helper.make_node("Relu", ["x"], ["y"]),
    ]
    constants = {n: np.array([v]) for n, v in (("begin", 4), ("end", 8), ("axis", 2))} | ZEROS
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "shifted", infos[:1], infos[1:], weights)
    opsets = [helper.make_opsetid("", 20)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets)
    plan = t10c.schedule_model(
        t10c.import_model(model.SerializeToString()),
        t10c.load_spec("ipu-mk2", ("cores.count=4",)),
    )
    assert isinstance(plan, t10c.ModelPlan)
    return t10c.lower_plan(plan), np.arange(1, 11, dtype=np.float32).reshape(1, 2, 5)


ZEROS = {"zeros": np.zeros((1, 2, 3), np.float32)}
SHAPES = {"x": (1, 2, 5), "state": (1, 2, 4), "y": (1, 2, 5)}


def test_parts_that_nobody_needs_may_be_missing() -> None:
    program, x = shifted_state()
    assert next(s for s in stores(program) if s.tensor == "state").sources == ("home:x",)
    check_program(program)
    found = Machine(program, ZEROS).run({"x": x})
    np.testing.assert_array_equal(found["state"], x[..., 1:])


def test_parts_that_are_needed_must_be_there() -> None:
    """Of a slice that begins one earlier, the first element is among the zeros."""
    program, x = shifted_state()
    views = tuple(replace(v, starts=(0, 0, 2)) if v.kind == "slice" else v for v in program.views)
    wrong = replace(program, views=views)
    with pytest.raises(InvalidInputError, match=r"no core holds state\[0, 0, 0\]"):
        check_program(wrong)
    with pytest.raises(VerificationError, match=r"no core holds state\[0, 0, 0\]"):
        Machine(wrong, ZEROS).run({"x": x})


def stores(program: Program) -> list[Store]:
    return [i for i in program.end.instructions if isinstance(i, Store)]


def test_what_a_pad_puts_around_is_known() -> None:
    pad = LayoutOp("p", "Pad", "pad", ("a",), "b", ("p",), starts=(1,))
    known = known_elements(pad, [np.array([True, False])], [(2,), (4,)])
    assert known is not None
    assert known.tolist() == [True, True, False, True]
    assert known_elements(pad, [None], [(2,), (4,)]) is None


@pytest.mark.parametrize(
    "kind", [np.float32, np.bool_, ml_dtypes.float8_e5m2, ml_dtypes.bfloat16, ml_dtypes.int4]
)
def test_windows_of_every_element_type(kind: type) -> None:
    array = np.array([[0, 1, 1], [1, 0, 1]]).astype(kind)
    windows = sliding_windows(array, (1, 2), writeable=True)
    assert windows.dtype == array.dtype
    assert windows[1, 1].astype(int).tolist() == [[0, 1]]
    windows[0, 0] = np.array([[1, 0]]).astype(kind)
    assert array[0].astype(int).tolist() == [1, 0, 1]
    size = array.itemsize
    flipped = strided(array[:, 2:], (2, 3), (3 * size, -size))
    assert flipped.dtype == array.dtype
    assert flipped.astype(int).tolist() == [[1, 0, 1], [1, 0, 1]]
