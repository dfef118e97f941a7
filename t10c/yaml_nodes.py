"""YAML that users write as nodes that know their places, with what is wrong in one wording.

Anchors and aliases are refused, so that the text bounds the work.
"""

from dataclasses import dataclass

import yaml

from t10c.errors import T10cError
from t10c.suggest import shorten

STRING_TAG = "tag:yaml.org,2002:str"
NULL_TAG = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class YamlKind:
    """A kind of file: its name, examples of keys, what one file holds, what to raise."""

    noun: str
    keys: str
    holds: str
    error: type[T10cError]
    instead_of_alias: str
    deepest: int = 8


def place_of(file: str, node: yaml.Node) -> str:
    """`file:line:column` of a node."""
    return f"{file}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def compose_mapping(text: str, file: str, kind: YamlKind) -> yaml.MappingNode:
    """The mapping that a file of this kind is; raises the kind's error where it is none."""
    try:
        _refuse_aliases_and_depth(text, file, kind)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        raise kind.error(f"{where}: not valid YAML: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position] if isinstance(error.position, int) else ""
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise kind.error(
            f"{file}:{line}:{column}: not text: character #x{error.character:04x} is not allowed"
        ) from error
    except yaml.YAMLError as error:
        raise kind.error(f"{file}: not valid YAML: {shorten(str(error))}") from error
    if root is None:
        raise kind.error(f"{file}:1:1: is empty; a {kind.noun} needs {kind.keys}")
    if not isinstance(root, yaml.MappingNode):
        raise kind.error(
            f"{place_of(file, root)}: is not a mapping; write KEY: VALUE lines ({kind.keys})"
        )
    return root


def decoded(data: bytes, file: str, error_class: type[T10cError]) -> str:
    """The text of a file; raises `error_class` with the place of what is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        raise error_class(
            f"{file}:{line}:{column}: not text: byte 0x{data[error.start]:02x} is not UTF-8"
        ) from error


def _refuse_aliases_and_depth(text: str, file: str, kind: YamlKind) -> None:
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        mark = event.start_mark
        where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise kind.error(
                f"{where}: anchors and aliases are not allowed; {kind.instead_of_alias}"
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > kind.deepest:
                raise kind.error(f"{where}: nested deeper than any key of a {kind.noun}")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise kind.error(f"{where}: a second document; a file holds {kind.holds}")
