"""Specification text to flat entries: `cores.sram` -> its text and its place in the file.

Only structure is judged here (YAML syntax, known keys, mapping or value); validate.py judges the
values.
"""

from dataclasses import dataclass

import yaml

from t10c.errors import InvalidSpecError
from t10c.hardware import schema
from t10c.suggest import did_you_mean, shorten
from t10c.yaml_nodes import NULL_TAG, STRING_TAG, YamlKind, compose_mapping, place_of

COMMAND_LINE = "--hw-set"  # the place of an override
_KIND = YamlKind("specification", "name, clock, ...", "one chip", InvalidSpecError, "use `extends`")


@dataclass(frozen=True, slots=True)
class Entry:
    """A value as written: its text or list of texts, and where it stands."""

    text: str
    place: str
    items: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class FlatSpec:
    """Entries and sources of one file by dotted path, in the file's order.

    A section's `source:` text stands in `sources` under each number of the section.
    """

    entries: dict[str, Entry]
    sources: dict[str, str]
    problems: tuple[str, ...]


def read_text(text: str, file: str) -> FlatSpec:
    """Flat entries of a specification; InvalidSpecError if it is not a YAML mapping."""
    root = compose_mapping(text, file, _KIND)
    walker = _Walker(file)
    walker.section("", root)
    return FlatSpec(walker.entries, walker.sources, tuple(walker.problems))


class _Walker:
    """Collects the entries, sources and structural problems of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.entries: dict[str, Entry] = {}
        self.sources: dict[str, str] = {}
        self.problems: list[str] = []

    def problem(self, node: yaml.Node, path: str, what: str) -> None:
        self.problems.append(f"{place_of(self.file, node)}: {shorten(path)}: {what}")

    def section(self, path: str, node: yaml.MappingNode) -> None:
        """Walk a mapping whose keys are those of section `path`."""
        seen: set[str] = set()
        source: yaml.Node | None = None
        for key_node, value in node.value:
            name = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
            full = f"{path}.{name}" if path else name
            if name in seen:
                self.problem(key_node, full, "given twice; keep one")
            elif name == "source":
                source = value
            elif "." not in name and schema.is_section(full):
                self.subsection(full, value)
            elif "." not in name and schema.key_at(full) is not None:
                self.value(full, value)
            else:
                allowed = (*schema.children(path), "source")
                close = did_you_mean(name, allowed)
                hint = "" if close else f"; allowed: {', '.join(allowed)}"
                self.problem(key_node, full, f"unknown key{hint}{close}")
            seen.add(name)
        if source is not None:
            self.source(path, source)

    def subsection(self, path: str, node: yaml.Node) -> None:
        if isinstance(node, yaml.MappingNode):
            self.section(path, node)
        else:
            keys = ", ".join(schema.children(path))
            self.problem(node, path, f"is not a mapping; it has the keys {keys}")

    def value(self, path: str, node: yaml.Node) -> None:
        """A leaf: a scalar, or a list of scalars for `notes` and `cores.grid`."""
        place = place_of(self.file, node)
        if isinstance(node, yaml.ScalarNode):
            if node.tag == NULL_TAG:
                self.problem(node, path, "has no value")
            else:
                self.entries[path] = Entry(node.value, place)
            return
        key = schema.key_at(path)
        assert key is not None
        items = node.value if isinstance(node, yaml.SequenceNode) else None
        if items is not None and all(isinstance(item, yaml.ScalarNode) for item in items):
            texts = tuple(item.value for item in items)
            if key.kind == "texts":
                self.entries[path] = Entry("", place, texts)
                return
            if key.kind == "grid" and len(texts) == 2:
                self.entries[path] = Entry("x".join(texts), place)
                return
        shape = "a mapping" if isinstance(node, yaml.MappingNode) else "a list"
        self.problem(node, path, f"is {shape}; it must be a {key.kind}")

    def source(self, section: str, node: yaml.Node) -> None:
        """`source:` of a section: one text for all its numbers, or a text for each key."""
        prefix = f"{section}." if section else ""
        if isinstance(node, yaml.ScalarNode):
            if node.tag != STRING_TAG or not node.value.strip():
                self.problem(node, f"{prefix}source", "must be text that says where from")
                return
            self.cover(section, node.value.strip())
        elif isinstance(node, yaml.MappingNode):
            for key_node, value in node.value:
                self.named_source(prefix, section, key_node, value)
        else:
            self.problem(node, f"{prefix}source", "must be text, or a mapping from key to text")

    def named_source(
        self, prefix: str, section: str, key_node: yaml.Node, value: yaml.Node
    ) -> None:
        name = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
        path = f"{prefix}{name}"
        if not isinstance(value, yaml.ScalarNode) or not value.value.strip():
            self.problem(value, f"{prefix}source.{name}", "must be text that says where from")
        elif schema.is_section(path):
            self.cover(path, value.value.strip())
        elif schema.key_at(path) is not None:
            self.sources[path] = value.value.strip()
        else:
            close = did_you_mean(name, schema.children(section))
            self.problem(key_node, f"{prefix}source.{name}", f"no such key to source{close}")

    def cover(self, section: str, source: str) -> None:
        """Source every number of a section that has none yet; the top has only its own keys."""
        for path in self.entries:
            inside = path.startswith(f"{section}.") if section else "." not in path
            if inside and path not in self.sources and _needs_source(path):
                self.sources[path] = source


def _needs_source(path: str) -> bool:
    key = schema.key_at(path)
    return key is not None and key.numeric
