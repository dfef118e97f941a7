"""The JSON Schema of program files, derived from the dataclasses that they are read into."""

import types
from dataclasses import is_dataclass
from typing import Any, Literal, Union, get_args, get_origin

from t10c.ir.program import Program
from t10c.program.document import SCHEMA, VERSION
from t10c.serialise import TAG, field_hints, omitted_defaults, pair_value, tagged

Schema = dict[str, Any]

_SCALARS: dict[object, Schema] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    str: {"type": "string"},
}
_HEAD: Schema = {
    "schema": {"const": SCHEMA},
    "version": {"const": VERSION},
    "generator": {"type": "string"},
    "program_hash": {"type": "string"},
}


def program_schema() -> Schema:
    """A JSON Schema (2020-12) that every program file obeys; what it allows is still checked."""
    definitions: dict[str, Schema] = {}
    _schema_of(Program, definitions)
    program = definitions.pop(Program.__name__)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "t10c device program",
        **program,
        "properties": {**_HEAD, **program["properties"]},
        "required": ["schema", "version", *program["required"]],
        "$defs": dict(sorted(definitions.items())),
    }


def _schema_of(hint: object, definitions: dict[str, Schema]) -> Schema:
    """Schema of the values of a type; those of dataclasses are put into `definitions`."""
    if hint in _SCALARS:
        return dict(_SCALARS[hint])
    if isinstance(hint, type) and is_dataclass(hint):
        return _reference(hint, definitions)
    inner = pair_value(hint)
    if inner is not None:
        return {"type": "object", "additionalProperties": _schema_of(inner, definitions)}
    classes = tagged(hint)
    if classes:
        return {"oneOf": [_tagged(tag, cls, definitions) for tag, cls in classes.items()]}
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema_of(argument, definitions) for argument in arguments]}
    if hint is type(None):
        return {"type": "null"}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple and arguments[-1] is Ellipsis:
        return {"type": "array", "items": _schema_of(arguments[0], definitions)}
    raise TypeError(f"{hint} has no schema")


def _reference(cls: type, definitions: dict[str, Schema]) -> Schema:
    """A reference to the schema of a dataclass, which is made at its first use."""
    if cls.__name__ not in definitions:
        definitions[cls.__name__] = {}  # a loop has instructions, of which some are loops
        definitions[cls.__name__] = _object_schema(cls, definitions)
    return {"$ref": f"#/$defs/{cls.__name__}"}


def _tagged(tag: str, cls: type, definitions: dict[str, Schema]) -> Schema:
    """A dataclass that the tag tells from the others of its union."""
    reference = _reference(cls, definitions)
    made = definitions[cls.__name__]
    if made and TAG not in made["properties"]:
        made["properties"] = {TAG: {"const": tag}, **made["properties"]}
        made["required"] = [TAG, *made["required"]]
    return reference


def _object_schema(cls: type, definitions: dict[str, Schema]) -> Schema:
    omitted = omitted_defaults(cls)
    hints = field_hints(cls)
    return {
        "description": " ".join((cls.__doc__ or "").split("\n\n")[0].split()),
        "type": "object",
        "properties": {name: _schema_of(hint, definitions) for name, hint in hints.items()},
        "required": [name for name in hints if name not in omitted],
        "additionalProperties": False,
    }
