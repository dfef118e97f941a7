"""ai.onnx.ml: what scalers and linear models compute; trees and texts are not here."""

from collections.abc import Sequence

from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.registry import expands

_DOMAIN = "ai.onnx.ml"
_FLOAT = 1


def _floats(call: Expansion, name: str) -> Sequence[float]:
    return call.attribute(name, ())


@expands("Scaler", domain=_DOMAIN)
def expand_scaler(call: Expansion) -> None:
    """(a - offset) * scale, per feature."""
    current = call.add("Cast", [call.input(0)], to=_FLOAT)
    for op_type, name in (("Sub", "offset"), ("Mul", "scale")):
        values = _floats(call, name)
        if values:
            current = call.add(op_type, [current, call.array(values, "float32", name)])
    call.result(0, current)


@expands("Binarizer", domain=_DOMAIN)
def expand_binarizer(call: Expansion) -> None:
    """1 where a > threshold, else 0."""
    threshold = call.array(call.attribute("threshold", 0.0), call.element_type(0))
    larger = call.add("Greater", [call.input(0), threshold])
    call.result(0, call.add("Cast", [larger], to=call.fact(0).element_type))


@expands("Imputer", domain=_DOMAIN)
def expand_imputer(call: Expansion) -> None:
    """Where(a is the value to replace, the imputed value, a)."""
    kind = "floats" if _floats(call, "imputed_value_floats") else "int64s"
    imputed = _floats(call, f"imputed_value_{kind}")
    replaced = call.attribute(f"replaced_value_{kind[:-1]}", 0.0 if kind == "floats" else 0)
    source = call.input(0)
    if replaced != replaced:
        found = call.add("IsNaN", [source])
    else:
        found = call.add("Equal", [source, call.array(replaced, call.element_type(0))])
    values = call.array(imputed, call.element_type(0), "imputed")
    call.result(0, call.add("Where", [found, values, source]))


@expands("LinearRegressor", domain=_DOMAIN)
def expand_linear_regressor(call: Expansion) -> None:
    """a @ coefficients^T + intercepts."""
    if call.attribute("post_transform", "NONE") != "NONE":
        call.refuse("only the post_transform NONE is supported")
    targets = call.attribute("targets", 1)
    coefficients = call.array(_floats(call, "coefficients"), "float32", "coefficients")
    shape = call.array([targets, -1], "int64", "shape")
    matrix = call.add("Transpose", [call.add("Reshape", [coefficients, shape])], perm=[1, 0])
    current = call.add("MatMul", [call.add("Cast", [call.input(0)], to=_FLOAT), matrix])
    intercepts = _floats(call, "intercepts")
    if intercepts:
        current = call.add("Add", [current, call.array(intercepts, "float32", "intercepts")])
    call.result(0, current)


@expands("ArrayFeatureExtractor", domain=_DOMAIN)
def expand_array_feature_extractor(call: Expansion) -> None:
    """The elements of the last dimension that the index names."""
    flat = call.add("Reshape", [call.input(1), call.array([-1], "int64", "flat")])
    call.result(0, call.add("Gather", [call.input(0), flat], axis=len(call.shape(0)) - 1))
