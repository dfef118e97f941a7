"""Nodes that are alike: keys in arrays are those of a slow twin, which looks at one by one."""

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np
import pytest

from t10c.onnx_import.blocks import Touches, node_keys


class Named(NamedTuple):
    """A node by its names."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    owner: str = ""


def keys_one_by_one(
    nodes: Sequence[Named], does: Sequence[Hashable], new: Callable[[str, bool], Hashable]
) -> list[int]:
    """The slow twin of `node_keys`."""
    touched: dict[str, tuple[int, int]] = {}
    numbers: dict[Hashable, int] = {}
    keys = []
    for index, node in enumerate(nodes):
        key: list[Hashable] = [does[index], len(node.inputs)]
        for slot, name in enumerate((*node.inputs, *node.outputs)):
            if not name:
                key.append("absent")
            elif name in touched:
                before, there = touched[name]
                key.append(("touched", index - before, there))
            else:
                key.append(("new", new(name, slot >= len(node.inputs))))
            if name:
                touched[name] = (index, slot)
        keys.append(numbers.setdefault(tuple(key), len(numbers)))
    return keys


@pytest.mark.parametrize("seed", range(40))
def test_keys_are_those_of_the_slow_twin(seed: int) -> None:
    random = np.random.default_rng(seed)
    names = ["", *(f"t{n}" for n in range(4))]

    def some(most: int) -> tuple[str, ...]:
        return tuple(random.choice(names, random.integers(0, most + 1)).tolist())

    nodes = [Named(f"n{i}", some(2), some(2)) for i in range(80)]
    does = random.integers(0, 2, len(nodes)).tolist()

    def new(name: str, made: bool) -> Hashable:
        return (int(name[1:]) % 2, made)

    keys = node_keys(Touches(nodes), does, new)
    assert keys == keys_one_by_one(nodes, does, new)
    assert max(keys) >= 2
    assert len(set(keys)) < len(keys)


def test_a_place_belongs_to_the_node_that_has_it() -> None:
    nodes = [Named("a", ("x", ""), ("y",)), Named("b", (), ()), Named("c", ("y",), ("z", "x"))]
    touches = Touches(nodes)
    assert [touches.node_of(place) for place in range(len(touches.names))] == [0, 0, 0, 2, 2, 2]
    assert touches.names == ["x", "", "y", "y", "z", "x"]
    assert touches.first == {"x": 0, "": 1, "y": 2, "z": 4}
