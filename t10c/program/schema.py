"""The JSON Schema of program files, derived from the dataclasses that they are read into."""

from t10c.ir.program import Program
from t10c.json_schema import Schema, document_schema
from t10c.program.document import SCHEMA, VERSION

_HEAD: dict[str, Schema] = {
    "schema": {"const": SCHEMA},
    "version": {"const": VERSION},
    "generator": {"type": "string"},
    "program_hash": {"type": "string"},
}


def program_schema() -> Schema:
    """A JSON Schema (2020-12) that every program file obeys; what it allows is still checked."""
    return document_schema(Program, "t10c device program", _HEAD, ("schema", "version"))
