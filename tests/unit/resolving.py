"""Resolving small models in tests, and comparing what is left of them with ONNX Runtime."""

from collections.abc import Mapping

import numpy as np
import pytest
from onnx import ModelProto
from onnx_models import rebuilt
from onnxruntime import InferenceSession

from t10c.errors import T10cError
from t10c.onnx_import.resolve import resolve_model
from t10c.onnx_import.resolved import ResolvedModel


def resolve(made: ModelProto, values: Mapping[str, object] | None = None) -> ResolvedModel:
    return resolve_model(made.SerializeToString(), values=values)


def same_numbers(made: ModelProto, **feeds: np.ndarray) -> ResolvedModel:
    """Resolve, and see that what is left computes what the model did."""
    resolved = resolve(made)
    expected = InferenceSession(made.SerializeToString()).run(None, feeds)
    actual = InferenceSession(rebuilt(resolved).SerializeToString()).run(None, feeds)
    for name, left, right in zip(resolved.outputs, expected, actual, strict=True):
        np.testing.assert_allclose(right, left, err_msg=name)
        assert np.shape(right) == resolved.shapes[name]
    return resolved


def failure(made: ModelProto, kind: type[T10cError]) -> T10cError:
    with pytest.raises(kind) as caught:
        resolve(made)
    assert type(caught.value) is kind
    assert len(str(caught.value).splitlines()) <= 3
    return caught.value


def operators(resolved: ResolvedModel) -> list[str]:
    return [n.op_type for n in resolved.nodes]


def notes(resolved: ResolvedModel) -> dict[str, str]:
    return {record.name: record.note for record in resolved.folded}
