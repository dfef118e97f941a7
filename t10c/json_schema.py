"""JSON Schemas of documents, derived from the dataclasses that they are read into.

The counterpart of serialise.py: what `encode` writes obeys the schema. A field whose metadata have
`about` is described by that text.
"""

import types
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin

from t10c.serialise import TAG, field_hints, omitted_defaults, pair_value, tagged

Schema = dict[str, Any]

ABOUT = "about"
"""Key of a field's metadata: what its value is, with its unit."""

_SCALARS: dict[object, Schema] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    str: {"type": "string"},
}


def document_schema(
    cls: type, title: str, head: Mapping[str, Schema], required: Collection[str]
) -> Schema:
    """A JSON Schema (2020-12) of documents that begin with the keys `head`, then those of `cls`.

    Of the keys of `head` only those of `required` must be there.
    """
    definitions: dict[str, Schema] = {}
    _schema_of(cls, definitions)
    body = definitions.pop(cls.__name__)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **body,
        "properties": {**head, **body["properties"]},
        "required": [*required, *body["required"]],
        "$defs": dict(sorted(definitions.items())),
    }


def abouts(cls: type) -> dict[str, str]:
    """What the metadata of a dataclass say of its fields."""
    return {field.name: field.metadata[ABOUT] for field in fields(cls) if ABOUT in field.metadata}


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
    if origin is tuple:
        items = [_schema_of(argument, definitions) for argument in arguments]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
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
    known = abouts(cls)
    properties = {
        name: _schema_of(hint, definitions)
        | ({"description": known[name]} if name in known else {})
        for name, hint in hints.items()
    }
    return {
        "description": " ".join((cls.__doc__ or "").split("\n\n")[0].split()),
        "type": "object",
        "properties": properties,
        "required": [name for name in hints if name not in omitted],
        "additionalProperties": False,
    }
