"""A resolved specification as a JSON document in base units, and back; its content hash.

Plan files carry this document, so that a plan needs no specification file to be read again.
Pairs of (name, value) tuples become JSON objects; everything else keeps its field's name.
"""

import hashlib
import json
from typing import Any

from t10c.errors import InvalidInputError
from t10c.hardware.forms import FAMILIES
from t10c.hardware.spec import HardwareSpec
from t10c.serialise import decode, encode, mapping, wrong

Document = dict[str, Any]


def to_document(spec: HardwareSpec) -> Document:
    """The specification as JSON values: base units, kernels, sources and notes included."""
    return mapping(encode(spec), "hardware")


def from_document(document: object) -> HardwareSpec:
    """The specification of a document; InvalidInputError names the key that is wrong."""
    spec = decode(HardwareSpec, document, "hardware")
    _least(document, "hardware")
    if spec.clock_hz <= 0 or spec.core_count < 1:
        raise InvalidInputError("hardware: has no clock or no cores")
    missing = [family for family in FAMILIES if family not in dict(spec.kernels)]
    if missing:
        raise InvalidInputError(f"hardware.kernels.{missing[0]}: is missing")
    return spec


def spec_hash(spec: HardwareSpec) -> str:
    """sha256 of the canonical JSON of the document."""
    text = json.dumps(to_document(spec), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _least(value: object, path: str) -> None:
    """Every number of a specification is at least 0."""
    if isinstance(value, dict):
        for name, item in value.items():
            _least(item, f"{path}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _least(item, f"{path}[{index}]")
    elif isinstance(value, int | float) and value < 0:
        raise wrong(path, value, "a number of at least 0")
