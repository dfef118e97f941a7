"""Reading nodes of a sweep file: what kind each must be, and where it stands if it is not."""

from collections.abc import Callable, Collection, Iterable
from typing import Any, NoReturn, TypeVar

import yaml

from t10c.errors import InvalidInputError
from t10c.suggest import did_you_mean, shorten
from t10c.yaml_nodes import NULL_TAG, YamlKind, compose_mapping, place_of

T = TypeVar("T")

_KIND = YamlKind("sweep", "models, hw, ...", "one sweep", InvalidInputError, "write it out")
_MOST_DIGITS = 15


class NodeReader:
    """Values of one file's nodes; InvalidInputError says where and what is wrong."""

    def __init__(self, file: str) -> None:
        self.file = file

    def root(self, text: str) -> yaml.MappingNode:
        """The mapping that the file is."""
        return compose_mapping(text, self.file, _KIND)

    def fail(self, node: yaml.Node, path: str, what: str) -> NoReturn:
        """Say what is wrong with a node."""
        raise InvalidInputError(f"{place_of(self.file, node)}: {shorten(path)}: {what}")

    def entries(
        self, node: yaml.Node, path: str, allowed: Collection[str] | None = None
    ) -> dict[str, yaml.Node]:
        """The values of a mapping by key, of which only `allowed` ones may be there."""
        if not isinstance(node, yaml.MappingNode):
            keys = f" of {', '.join(allowed)}" if allowed else ""
            self.fail(node, path, f"is not a mapping{keys}; write KEY: VALUE lines")
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            full = f"{path}.{name}" if path else name
            if name in found:
                self.fail(key, full, "given twice; keep one")
            if allowed is not None and name not in allowed:
                close = did_you_mean(name, allowed)
                self.fail(key, full, f"unknown key{close or '; allowed: ' + ', '.join(allowed)}")
            found[name] = value
        return found

    def items(self, node: yaml.Node, path: str) -> list[yaml.Node]:
        """The items of a list that is not empty."""
        if not isinstance(node, yaml.SequenceNode):
            self.fail(node, path, "is not a list; write [A, B] or one '- A' per line")
        if not node.value:
            self.fail(node, path, "is an empty list; give at least one item")
        return list(node.value)

    def distinct(
        self, node: yaml.Node, path: str, read: Callable[[yaml.Node, str], T]
    ) -> tuple[T, ...]:
        """The items of a list as `read` reads them; none may be there twice."""
        found: list[T] = []
        for index, item in enumerate(self.items(node, path)):
            value = read(item, f"{path}[{index}]")
            if value in found:
                self.fail(item, f"{path}[{index}]", "is in the list twice; keep one")
            found.append(value)
        return tuple(found)

    def text(self, node: yaml.Node, path: str) -> str:
        """A text, or whatever is written as one word, as it is written."""
        if not isinstance(node, yaml.ScalarNode) or node.tag == NULL_TAG or not node.value.strip():
            self.fail(node, path, "has no value; write a text or a number")
        return str(node.value).strip()

    def whole(self, node: yaml.Node, path: str) -> int:
        """A whole number of at least 0."""
        text = self.text(node, path)
        if not text.isdecimal() or len(text) > _MOST_DIGITS:
            self.fail(node, path, f"is '{shorten(text)}'; it must be a whole number of at least 0")
        return int(text)

    def flag(self, node: yaml.Node, path: str) -> bool:
        """True or false."""
        return self.one_of(node, path, ("true", "false")) == "true"

    def one_of(self, node: yaml.Node, path: str, allowed: Iterable[str]) -> str:
        """One of some words."""
        text, words = self.text(node, path), list(allowed)
        if text not in words:
            close = did_you_mean(text, words)
            self.fail(node, path, f"'{shorten(text)}' is not one of {', '.join(words)}{close}")
        return text

    def numbers(self, node: yaml.Node, path: str) -> object:
        """A number, a truth value, or lists of them."""
        if isinstance(node, yaml.SequenceNode):
            return [self.numbers(item, f"{path}[{i}]") for i, item in enumerate(node.value)]
        value: Any = yaml.SafeLoader("").construct_object(node)
        if not isinstance(value, int | float):
            self.fail(node, path, "is neither a number nor a list of numbers")
        return value
