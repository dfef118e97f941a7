"""Nodes that no definition covers, whoever would run them: the user reads which and why."""

import numpy as np
import pytest
from onnx import NodeProto, TensorProto
from onnx_models import model, node, value

from t10c.errors import InvalidInputError
from t10c.onnx_import.importer import import_model


def failure(made: NodeProto, constants: dict[str, object], **values: object) -> str:
    inputs = [value("x", [3, 4, 5])]
    inputs += [value(name, [1], TensorProto.INT64) for name in values]
    data = model([made], inputs, ["y"], constants, opset=18).SerializeToString()
    with pytest.raises(InvalidInputError) as caught:
        import_model(data, values=values)
    return str(caught.value)


@pytest.mark.parametrize(
    ("made", "indices", "expected"),
    [
        (
            node("Gather", "x i", "y", "n", axis=1),
            [0, 4],
            "index 4 is out of range for dimension 1",
        ),
        (node("Gather", "x i", "y", "n", axis=-1), -6, "index -6 is out of range for dimension 2"),
        (node("GatherElements", "x i", "y", "n"), [[[3]]], "index 3 is out of range"),
        (node("GatherND", "x i", "y", "n"), [[0, 4]], "index 4 is out of range for dimension 1"),
        (
            node("GatherND", "x i", "y", "n", batch_dims=1),
            [[0], [1], [-5]],
            "index -5 is out of range for dimension 1",
        ),
        (node("ScatterElements", "x i u", "y", "n"), [[[-4]]], "index -4 is out of range"),
        (node("ScatterND", "x i v", "y", "n"), [[0, 0, 5]], "index 5 is out of range"),
    ],
)
def test_known_indices_must_be_in_range(made: NodeProto, indices: object, expected: str) -> None:
    constants = {"i": np.array(indices), "u": np.ones((1, 1, 1), "f"), "v": np.ones(1, "f")}
    text = failure(made, {name: constants[name] for name in made.input[1:]})
    assert text.startswith(f"node 'n' ({made.op_type}): {expected}")
    assert "of its first input, whose size is" in text
    assert len(text.splitlines()) == 2


def test_values_that_the_user_gives_are_known_too() -> None:
    text = failure(node("Gather", "x i", "y", "n"), {}, i=[7])
    assert "index 7 is out of range for dimension 0 of its first input, whose size is 3" in text


def test_the_ends_of_the_range_are_in_it() -> None:
    made = model(
        [node("Gather", "x i", "y")], [value("x", [3, 2])], ["y"], {"i": np.array([2, -3, 0])}
    )
    assert import_model(made.SerializeToString()).tensor["y"].shape == (3, 2)


@pytest.mark.parametrize("groups", [0, 2, 3])
def test_groups_must_fit_the_channels(groups: int) -> None:
    made = node("Conv", "x w", "y", "n", group=groups)
    assert "do not match" in failure(made, {"w": np.ones((4, 1, 1), "f")})
