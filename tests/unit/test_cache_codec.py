"""Values as bytes and back, exactly."""

import json
import math
from dataclasses import dataclass, fields, is_dataclass, make_dataclass, replace
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from planned_graphs import chip

from t10c.cache.codec import CodecError, from_bytes, to_bytes
from t10c.schedule.choices import Choices, find_choices
from t10c.schedule.problem import Problem
from t10c.search.operator import SearchResult, search_operator
from t10c.search.options import SearchOptions
from t10c.search.templates import named_expression


def same(one: Any, other: Any) -> bool:
    """Whether two values agree in every field, those that `==` does not compare included."""
    if type(one) is not type(other):
        return False
    if is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(
            one, other, equal_nan=one.dtype.kind == "f"
        )
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) or (one != one and other != other)


@pytest.mark.parametrize(
    ("name", "axes", "weights"),
    [
        ("matmul", {"m": 6, "n": 8, "k": 12}, (1,)),
        ("conv", {"o": 4, "c": 4, "h": 6, "w": 6, "kh": 3, "kw": 3}, (1,)),
        ("pointwise", {"d": 30}, ()),
        ("gather", {"i": 8, "e": 4, "v": 20}, (0,)),
    ],
)
def test_choices_come_back_in_every_field(name, axes, weights):
    problem = Problem(named_expression(name, axes), weights)
    made = find_choices(problem, chip(cores=8), SearchOptions(), uniform=False)
    assert made.plans
    made = replace(made, search=replace(made.search, recalled=True))
    assert same(from_bytes(Choices, to_bytes(Choices, made)), made)


def test_choices_with_a_shortlist_come_back_in_every_field():
    problem = Problem(named_expression("matmul", {"m": 6, "n": 8, "k": 12}), (1,))
    made = find_choices(problem, chip(cores=8), SearchOptions(), uniform=False, joint=True)
    assert len(made.listed)
    made = replace(made, search=replace(made.search, recalled=True))
    assert same(from_bytes(Choices, to_bytes(Choices, made)), made)


def test_choices_of_what_does_not_fit_come_back():
    """Minima over no plan are infinite."""
    problem = Problem(named_expression("matmul", dict.fromkeys("mnk", 512)), (1,))
    made = find_choices(problem, chip(cores=2, kib=1), SearchOptions(), uniform=False)
    assert not made.plans
    assert np.isinf(made.bound_values).all()
    assert same(from_bytes(Choices, to_bytes(Choices, made)), made)


def test_fronts_come_back_in_every_field():
    made = search_operator(named_expression("matmul", {"m": 6, "n": 8, "k": 12}), chip())
    assert same(from_bytes(SearchResult, to_bytes(SearchResult, made)), made)


def test_a_new_field_is_stored_and_an_entry_without_it_refused():
    old = make_dataclass("Cost", [("cycles", float)], frozen=True)
    new = make_dataclass("Cost", [("cycles", float), ("energy", float)], frozen=True)
    value = new(1.5, 0.1)
    assert same(from_bytes(new, to_bytes(new, value)), value)
    with pytest.raises(CodecError, match="other fields"):
        from_bytes(new, to_bytes(old, old(1.5)))
    with pytest.raises(CodecError, match="other fields"):
        from_bytes(old, to_bytes(new, value))


@dataclass(frozen=True)
class Leaf:
    name: str
    pairs: tuple[tuple[str, str | int | float], ...]
    maybe: float | None = None


def test_values_that_may_be_missing_come_back_in_their_places():
    rows = make_dataclass("Rows", [("leaves", tuple[Leaf | None, ...])], frozen=True)
    value = rows((None, Leaf("a", ()), None, Leaf("b", (("c", 1),))))
    data = to_bytes(rows, value)
    assert same(from_bytes(rows, data), value)
    assert b"[false,true,false,true]" in data
    for damaged in (b"[false,true,false]", b"[true,true,false,true]", b"[0,1,0,1]"):
        with pytest.raises(CodecError):
            from_bytes(rows, data.replace(b"[false,true,false,true]", damaged))


def test_long_arrays_are_compressed_and_come_back():
    cls = make_dataclass("Numbers", [("numbers", NDArray[np.int64])], frozen=True)
    value = cls(np.arange(30_000, dtype=np.int64).reshape(3, 10_000) // 1000)
    data = to_bytes(cls, value)
    assert len(data) < value.numbers.nbytes / 4
    assert same(from_bytes(cls, data), value)
    stored = json.loads(data)
    for damaged in (["<i8", [4, 10_000]], ["<i8", [2, 10_000]], ["<f4", [3, 10_000]]):
        column = stored[1]["numbers"][0]
        stored[1]["numbers"] = [[*damaged, *column[2:]]]
        with pytest.raises(CodecError, match="another size"):
            from_bytes(cls, json.dumps(stored).encode())
    stored[1]["numbers"] = [["<i8", [3, 10_000], "AAAA", "zlib"]]
    with pytest.raises(CodecError, match="unpack"):
        from_bytes(cls, json.dumps(stored).encode())


@dataclass(frozen=True)
class Everything:
    leaves: tuple[Leaf, ...]
    fixed: tuple[int, float, tuple[bool, ...]]
    choice: Literal["a", "b"] | None
    numbers: NDArray[np.float64]
    counts: NDArray[np.int64]
    mask: NDArray[np.bool_]


def everything() -> Everything:
    return Everything(
        leaves=(
            Leaf("é\n", (("x", 1), ("x", 1.0), ("y", "1"))),
            Leaf("", (), -0.0),
            Leaf("nan", (), math.nan),
        ),
        fixed=(2**70, 0.1 + 0.2, (True, False)),
        choice=None,
        numbers=np.array([[1e-320, -0.0], [math.inf, math.nan]]),
        counts=np.array([2**63 - 1, -(2**63)], dtype=np.int64),
        mask=np.zeros(0, dtype=np.bool_),
    )


def test_values_come_back_exactly():
    made = everything()
    found = from_bytes(Everything, to_bytes(Everything, made))
    assert same(found, made)
    assert [type(value) for _, value in found.leaves[0].pairs] == [int, float, str]
    assert math.copysign(1, found.leaves[1].maybe) == -1
    assert found.numbers.tobytes() == made.numbers.tobytes()
    found.counts[0] = 0  # arrays are the reader's own


@pytest.mark.parametrize("hint", [dict, list[int], object, int | Leaf, NDArray[np.object_]])
def test_what_is_not_understood_is_refused_before_it_is_stored(hint):
    cls = make_dataclass("New", [("field", hint)], frozen=True)
    with pytest.raises(TypeError, match=r"cannot be stored|no plain number"):
        to_bytes(cls, cls(np.array([None])))


@pytest.mark.parametrize("value", [np.int64(3), np.float64(1), b"x", (1,)])
def test_a_value_of_another_type_is_no_scalar(value):
    cls = make_dataclass("Number", [("field", int)], frozen=True)
    with pytest.raises(TypeError):
        to_bytes(cls, cls(value))


def test_bytes_that_are_something_else_are_refused():
    """Whatever is cut, doubled or replaced: refused, or a value of the type."""
    document = json.loads(to_bytes(Everything, everything()))
    for changed in mutations(document):
        try:
            found = from_bytes(Everything, json.dumps(changed).encode())
        except CodecError:
            continue
        assert isinstance(found, Everything)
    for data in (b"", b"\xff", b"null", b"[1]", b"{}", b"[1, {}]", b"[2, [], 3]"):
        with pytest.raises(CodecError):
            from_bytes(Everything, data)


def mutations(value: Any) -> list[Any]:
    """The value with one of its parts replaced by something else, in turn."""
    found: list[Any] = [None, [], {}, 7, "x", [value], [-1]]
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += [[*value[:index], new, *value[index + 1 :]] for new in mutations(item)]
            found.append(value[:index] + value[index + 1 :])
    if isinstance(value, dict):
        for name, item in value.items():
            found += [{**value, name: new} for new in mutations(item)]
    return found
