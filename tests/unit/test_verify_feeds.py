"""Inputs of an inference: drawn by what reads them, or read from an archive."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto
from onnx_models import model, node, value
from verify_models import load

from t10c.errors import FileAccessError, InvalidInputError
from t10c.verify.feeds import random_feeds, read_feeds

INT = TensorProto.INT64
TABLE = np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32)


def fed(nodes, inputs, constants=None, outputs=("y",), seed=0, inference=0, opset=17):
    """Drawn inputs of a model."""
    made = model(nodes, inputs, list(outputs), constants, opset=opset)
    return random_feeds(load(made), seed, inference)


def test_floats_are_standard_normal_whatever_reads_them():
    nodes = [node("MatMul", "a b", "c"), node("Add", "c d", "y")]
    inputs = [value("a", [40, 300]), value("b", [300, 40]), value("d", [40])]
    found = fed(nodes, inputs)
    assert list(found) == ["a", "b", "d"]
    for name in "ab":
        assert found[name].dtype == np.float32
        assert abs(found[name].mean()) < 0.05
        assert found[name].std() == pytest.approx(1, abs=0.05)


def test_seeds_and_inferences_differ_and_repeat():
    nodes, inputs = [node("Mul", "a b", "y")], [value("a", [9]), value("b", [9])]
    drawn = {
        (seed, inference): fed(nodes, inputs, seed=seed, inference=inference)
        for seed in (0, 1)
        for inference in (0, 1)
    }
    arrays = [feeds[name] for feeds in drawn.values() for name in "ab"]
    assert len({array.tobytes() for array in arrays}) == 8
    assert np.array_equal(fed(nodes, inputs, seed=1)["a"], drawn[1, 0]["a"])


def test_token_ids_through_casts_and_moves():
    nodes = [
        node("Cast", "ids", "c", to=INT),
        node("Unsqueeze", "c one", "u"),
        node("Gather", "t u", "g"),
        node("Mul", "g g", "y"),
    ]
    inputs = [value("ids", [2, 400], TensorProto.INT32)]
    found = fed(nodes, inputs, {"t": TABLE, "one": np.array([1])})["ids"]
    assert found.dtype == np.int32
    assert (found.min(), found.max()) == (0, 49)


def test_the_smallest_table_limits_the_ids():
    nodes = [
        node("Gather", "t ids", "a"),
        node("Gather", "u ids", "b"),
        node("Add", "a b", "y"),
    ]
    found = fed(nodes, [value("ids", [400], INT)], {"t": TABLE, "u": TABLE[:7]})["ids"]
    assert (found.min(), found.max()) == (0, 6)


def test_ids_compared_with_a_padding_token_are_ids_all_the_same():
    nodes = [
        node("Equal", "ids zero", "e"),
        node("Gather", "t ids", "g"),
        node("Unsqueeze", "e last", "u"),
        node("Where", "u low g", "y"),
    ]
    constants = {"t": TABLE, "zero": np.int64(0), "last": np.array([-1]), "low": np.float32(0)}
    found = fed(nodes, [value("ids", [400], INT)], constants)["ids"]
    assert len(np.unique(found)) > 40


@pytest.mark.parametrize("dtype", [INT, TensorProto.FLOAT, TensorProto.BOOL])
def test_attention_masks_are_mostly_ones(dtype):
    """(1 - mask) * -1e9 added to scores, as exporters write it."""
    nodes = [
        node("Cast", "mask", "f", to=TensorProto.FLOAT),
        node("Unsqueeze", "f one", "u"),
        node("Sub", "whole u", "n"),
        node("Mul", "n low", "bias"),
        node("Add", "x bias", "s"),
        node("Softmax", "s", "y"),
    ]
    constants = {"one": np.array([1]), "whole": np.float32(1), "low": np.float32(-1e9)}
    inputs = [value("mask", [2, 40], dtype), value("x", [2, 40, 40])]
    found = fed(nodes, inputs, constants)["mask"]
    assert set(np.unique(found.astype(float))) <= {0, 1}
    assert found[:, 0].all()
    assert found.astype(float).mean() > 0.7


def test_positions_made_from_a_mask():
    """cumsum(mask) * mask - 1 + 2, which selects rows of a table."""
    nodes = [
        node("CumSum", "mask axis", "c"),
        node("Mul", "c mask", "m"),
        node("Sub", "m one", "s"),
        node("Add", "s two", "p"),
        node("Gather", "t p", "y"),
    ]
    constants = {"t": TABLE, "axis": np.int64(1), "one": np.int64(1), "two": np.int64(2)}
    found = fed(nodes, [value("mask", [2, 40], INT)], constants)["mask"]
    assert set(np.unique(found)) <= {0, 1}


def test_positions_with_an_offset_stay_in_the_table():
    nodes = [node("Add", "p two", "q"), node("Gather", "t q", "y")]
    found = fed(nodes, [value("p", [500], INT)], {"t": TABLE, "two": np.int64(2)})["p"]
    assert (found.min(), found.max()) == (0, 47)


def test_positions_computed_with_as_floats():
    nodes = [
        node("Cast", "p", "f", to=TensorProto.FLOAT),
        node("Mul", "f w", "m"),
        node("Cos", "m", "y"),
    ]
    found = fed(nodes, [value("p", [50, 1], INT)], {"w": TABLE[0]})["p"]
    assert found.min() >= 0
    assert len(np.unique(found)) > 10


def test_lengths_compared_with_positions():
    nodes = [
        node("Less", "range length", "m"),
        node("Where", "m x zero", "y"),
    ]
    constants = {"range": np.arange(32), "zero": np.float32(0)}
    inputs = [value("length", [40, 1], INT), value("x", [40, 32])]
    found = fed(nodes, inputs, constants)["length"]
    assert 15 <= found.min() < found.max() <= 32


def test_classes_spread_as_one_hot_rows():
    nodes = [node("Equal", "classes range", "e"), node("Where", "e x zero", "y")]
    inputs = [value("classes", [600, 1], INT), value("x", [32])]
    constants = {"range": np.arange(32), "zero": np.float32(0)}
    found = fed(nodes, inputs, constants)["classes"]
    assert (found.min(), found.max()) == (0, 31)


def test_scattered_rows_are_distinct():
    nodes = [node("ScatterND", "x at rows", "y")]
    inputs = [value("x", [20, 3]), value("at", [20, 1], INT), value("rows", [20, 3])]
    found = fed(nodes, inputs)["at"]
    assert sorted(found.reshape(-1)) == list(range(20))


def test_images_of_bytes_use_their_range():
    nodes = [node("Cast", "image", "f", to=TensorProto.FLOAT), node("Mul", "f s", "y")]
    found = fed(
        nodes, [value("image", [1, 3, 40, 40], TensorProto.UINT8)], {"s": np.float32(1 / 255)}
    )
    assert (found["image"].min(), found["image"].max()) == (0, 255)


def test_what_a_logarithm_or_divisor_takes_is_positive():
    nodes = [
        node("Log", "a", "l"),
        node("Div", "l b", "d"),
        node("Sqrt", "c", "r"),
        node("Add", "d r", "y"),
    ]
    found = fed(nodes, [value(name, [99]) for name in "abc"])
    assert all(array.min() > 0.4 for array in found.values())


def test_truth_values_without_a_use_of_their_own():
    found = fed(
        [node("Not", "a", "n"), node("And", "n b", "y")],
        [value(n, [9, 50], TensorProto.BOOL) for n in "ab"],
    )
    assert found["a"].dtype == bool
    assert found["a"].any()
    assert not found["a"].all()


# Integers that are numbers


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        (INT, -100, 100),
        (TensorProto.INT32, -100, 100),
        (TensorProto.INT16, -100, 100),
        (TensorProto.UINT32, 0, 200),
    ],
)
def test_integers_that_are_computed_with_are_numbers(kind, low, high):
    nodes = [node("Mul", "a b", "m"), node("Reshape", "m s", "r"), node("Max", "r c", "y")]
    inputs = [value(name, [2000], kind) for name in "abc"]
    found = fed(nodes, inputs, {"s": np.array([2000])})
    for array in found.values():
        assert (array.min(), array.max()) == (low, high)


@pytest.mark.parametrize("op", ["Less", "GreaterOrEqual"])
def test_integers_that_are_compared_are_numbers(op):
    found = fed([node(op, "a b", "y")], [value(n, [2000], INT) for n in "ab"])
    assert [(a.min(), a.max()) for a in found.values()] == [(-100, 100)] * 2


def test_integers_that_may_be_equal_are_so_now_and_then():
    found = fed([node("Equal", "a b", "y")], [value(n, [2000], INT) for n in "ab"])
    assert 0.05 < (found["a"] == found["b"]).mean() < 0.5


def test_integers_of_which_positions_are_found_are_numbers():
    nodes = [node("ArgMax", "a", "i", axis=0, keepdims=0), node("Gather", "t i", "y")]
    found = fed(nodes, [value("a", [2000], INT)], {"t": TABLE})["a"]
    assert (found.min(), found.max()) == (-100, 100)


def test_integers_of_unknown_use_stay_small():
    """A number of -70 may be a wrong size, offset or axis."""
    nodes = [node("NonZero", "a", "n"), node("Add", "a b", "s"), node("NonZero", "s", "m")]
    nodes += [node("ReduceSum", "n", "u", keepdims=0), node("ReduceSum", "m", "v", keepdims=0)]
    nodes += [node("Add", "u v", "y")]
    found = fed(nodes, [value(n, [2000], INT) for n in "ab"])
    assert all(set(np.unique(array)) == {0, 1} for array in found.values())


def test_one_unknown_use_is_enough():
    nodes = [node("NonZero", "a", "n"), node("ReduceSum", "n", "z"), node("Add", "a a", "y")]
    found = fed(nodes, [value("a", [2000], INT)], outputs=("y", "z"))["a"]
    assert set(np.unique(found)) == {0, 1}


@pytest.mark.parametrize("op", ["Div", "Mod"])
@pytest.mark.parametrize(
    "kind", [INT, TensorProto.INT32, TensorProto.UINT32, TensorProto.INT8, TensorProto.UINT8]
)
def test_integer_divisors_are_never_zero(op, kind):
    nodes = [node("Unsqueeze", "b one", "u"), node(op, "a u", "y")]
    inputs = [value("a", [1, 2000], kind), value("b", [2000], kind)]
    divisor = fed(nodes, inputs, {"one": np.array([0])})["b"]
    assert divisor.all()
    assert -1 not in divisor, "the least integer cannot be divided by it"
    assert divisor.max() == 9
    signed = kind not in (TensorProto.UINT32, TensorProto.UINT8)
    assert divisor.min() == (-9 if signed else 1)


@pytest.mark.parametrize("kind", [INT, TensorProto.FLOAT])
def test_divisors_behind_a_cast_are_never_zero(kind):
    to = TensorProto.FLOAT if kind == INT else INT
    nodes = [node("Cast", "b", "c", to=to), node("Div", "a c", "y")]
    found = fed(nodes, [value("a", [2000], to), value("b", [2000], kind)])["b"]
    assert found.astype(np.int64).all()
    assert found.astype(np.int64).max() > 5


def test_exponents_and_shifts_of_integers_are_small():
    nodes = [node("Pow", "a b", "p"), node("BitShift", "c d", "s", direction="LEFT")]
    kinds = {"a": INT, "b": INT, "c": TensorProto.UINT32, "d": TensorProto.UINT32}
    inputs = [value(name, [2000], kind) for name, kind in kinds.items()]
    found = fed(nodes, inputs, outputs=("p", "s"))
    assert (found["a"].min(), found["a"].max()) == (-100, 100)
    assert (found["b"].min(), found["b"].max()) == (0, 3)
    assert (found["d"].min(), found["d"].max()) == (0, 7)


def test_factors_whose_product_can_be_stored():
    nodes = [node("ReduceProd", "a", "y", axes=[1], keepdims=0)]
    found = fed(nodes, [value("a", [50, 20], INT)])["a"]
    assert set(np.unique(found)) == {1, 2}


@pytest.mark.parametrize(
    "kind",
    [INT, TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.BOOL],
)
def test_an_input_without_dimensions_is_an_array(kind):
    nodes = [node("Cast", "x", "c", to=TensorProto.DOUBLE), node("Add", "c c", "y")]
    found = fed(nodes, [value("x", [], kind)])["x"]
    assert isinstance(found, np.ndarray)
    assert found.shape == ()


# Archives


def graph():
    made = model(
        [node("Gather", "t ids", "g"), node("Mul", "g scale", "y")],
        [value("ids", [4], INT), value("scale", [6])],
        ["y"],
        {"t": TABLE},
    )
    return load(made).graph


GOOD = {"ids": np.array([1, 2, 3, 4]), "scale": np.ones(6, np.float32)}


def read(tmp_path: Path, **arrays: np.ndarray):
    np.savez(tmp_path / "in.npz", **arrays)
    return read_feeds(graph(), tmp_path / "in.npz")


def test_reading_an_archive(tmp_path):
    found = read(tmp_path, **GOOD)
    assert list(found) == ["ids", "scale"]
    assert all(np.array_equal(found[name], GOOD[name]) for name in GOOD)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"idz": GOOD["ids"]}, ["no input 'idz'", "did you mean ids?", "ids (4), scale (6)"]),
        ({"ids": None}, ["input 'ids' is missing", "its inputs are"]),
        ({"scale": np.ones(5, np.float32)}, ["'scale'", "has the shape 5", "is for 6"]),
        ({"ids": np.ones(4, np.int32)}, ["'ids'", "int32", "takes int64", "astype('int64')"]),
        ({"scale": np.ones(6)}, ["'scale'", "float64", "takes float32"]),
        ({"ids": np.array([1, "a", None, 2], object)}, ["'ids' cannot be read"]),
    ],
)
def test_wrong_archives(tmp_path, change, parts):
    arrays = {name: array for name, array in {**GOOD, **change}.items() if array is not None}
    with pytest.raises(InvalidInputError) as caught:
        read(tmp_path, **arrays)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'in.npz'}: ")
    assert all(part in text for part in parts), text
    assert text.count("\n") <= 1


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "not a NumPy archive"),
        (b"text", "not a NumPy archive"),
        (b"PK\x03\x04x", "not a NumPy"),
    ],
)
def test_files_that_are_no_archive(tmp_path, data, part):
    path = tmp_path / "in.npz"
    path.write_bytes(data)
    with pytest.raises(InvalidInputError, match=part):
        read_feeds(graph(), path)


def test_a_single_array_and_a_damaged_member(tmp_path):
    path = tmp_path / "in.npy"
    np.save(path, GOOD["ids"])
    with pytest.raises(InvalidInputError, match="a single array"):
        read_feeds(graph(), path)
    np.savez(tmp_path / "in.npz", **GOOD)
    data = bytearray((tmp_path / "in.npz").read_bytes())
    at = data.index(b"\x93NUMPY") + 140
    data[at] ^= 0xFF
    (tmp_path / "in.npz").write_bytes(data)
    with pytest.raises(InvalidInputError, match="damaged"):
        read_feeds(graph(), tmp_path / "in.npz")


def test_pickles_are_refused(tmp_path):
    path = tmp_path / "in.npz"
    np.save(path.open("wb"), np.array([{}], object), allow_pickle=True)
    with pytest.raises(InvalidInputError):
        read_feeds(graph(), path)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileAccessError, match="No such file"):
        read_feeds(graph(), tmp_path / "none.npz")
    with pytest.raises(FileAccessError):
        read_feeds(graph(), tmp_path)


def test_types_that_numpy_lacks(tmp_path):
    made = model(
        [node("Add", "x x", "y")], [value("x", [3], TensorProto.BFLOAT16)], ["y"], opset=17
    )
    x = np.array([1, 2, 3], ml_dtypes.bfloat16)
    np.savez(tmp_path / "in.npz", x=x)
    found = read_feeds(load(made).graph, tmp_path / "in.npz")["x"]
    assert found.dtype == x.dtype
    assert np.array_equal(found, x)
