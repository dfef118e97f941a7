"""A sweep file: models, chips, what is varied about them, and options; validated."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import yaml

from t10c.errors import FileAccessError, InvalidInputError
from t10c.files import unreadable
from t10c.hardware.load import preset_names
from t10c.hardware.reader import Entry
from t10c.hardware.schema import key_at, settable_paths
from t10c.hardware.validate import parse_value
from t10c.suggest import did_you_mean
from t10c.sweep.nodes import NodeReader
from t10c.yaml_nodes import decoded, place_of
from t10c.zoo import list_recipes

SWEEP_WANTED = "give a sweep file: YAML with models, hw and overrides (docs/sweep.md)"

SHORT_NAMES = {
    "cores": "cores.count",
    "grid": "cores.grid",
    "sram": "cores.sram",
    "link_bandwidth": "interconnect.link_bandwidth",
    "hop_latency": "interconnect.hop_latency",
    "sync": "interconnect.sync",
    "topology": "interconnect.kind",
    "chips": "chips.count",
    "chip_bandwidth": "chips.link_bandwidth",
    "offchip_bandwidth": "offchip.bandwidth",
    "buffers": "shift_buffer.policy",
    "buffer_size": "shift_buffer.size",
}
"""Names of keys of a specification in `overrides`; full keys may stand there, too."""

_LARGEST_FILE_BYTES = 1 << 20
_ZOO_KEYS = ("zoo", "label", "batch", "seq", "past", "phase", "layers", "set")
_FILE_KEYS = ("file", "label", "dims", "shapes", "values")


@dataclass(frozen=True)
class FileModel:
    """An ONNX file and how its symbolic dimensions and inputs are bound."""

    path: Path
    dims: tuple[tuple[str, int], ...] = ()
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    values: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True)
class ZooModel:
    """A recipe and its parameters, as `t10c zoo build` takes them."""

    recipe: str
    batch: int | None = None
    seq: int | None = None
    past: int | None = None
    phase: Literal["prefill", "decode"] = "prefill"
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ModelEntry:
    """A model of the sweep; `place` is where it stands in the file."""

    label: str
    source: FileModel | ZooModel
    place: str = field(compare=False)


@dataclass(frozen=True)
class Chip:
    """A chip of the sweep: its label, and the preset's name or the file that specifies it."""

    label: str
    spec: str | Path


@dataclass(frozen=True)
class Axis:
    """What is varied: its name in the file, the key of the specification, the texts it takes."""

    name: str
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class SweepOptions:
    """Options that all points share; `persistent` tensors are those of models that have them."""

    search: Literal["pruned", "exhaustive"] = "pruned"
    transitions: Literal["exact", "uniform"] = "exact"
    buffers: Literal["fixed", "double"] | None = None
    persistent: tuple[str, ...] = ()
    simulate: bool = False


@dataclass(frozen=True)
class SweepFile:
    """A sweep as its file states it."""

    models: tuple[ModelEntry, ...]
    chips: tuple[Chip, ...]
    axes: tuple[Axis, ...]
    options: SweepOptions


def read_sweep(path: Path) -> SweepFile:
    """The sweep of a file; files that it names are relative to it.

    Raises FileAccessError if it cannot be read, InvalidInputError with the place of what is wrong.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise unreadable(path, error, SWEEP_WANTED) from error
    if len(data) > _LARGEST_FILE_BYTES:
        raise InvalidInputError(f"{path}: is larger than 1 MiB: no sweep file")
    return _Reader(path).sweep(decoded(data, str(path), InvalidInputError))


class _Reader(NodeReader):
    """Reads one file."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.folder = path.parent

    def sweep(self, text: str) -> SweepFile:
        root = self.root(text)
        given = self.entries(root, "", ("models", "hw", "overrides", "options"))
        for name in ("models", "hw"):
            if name not in given:
                self.fail(root, name, "is missing; give a list")
        options = self.options(given.get("options"))
        return SweepFile(
            models=self.models(given["models"]),
            chips=self.distinct(given["hw"], "hw", self.chip),
            axes=self.axes(given.get("overrides"), options),
            options=options,
        )

    def models(self, node: yaml.Node) -> tuple[ModelEntry, ...]:
        found: dict[str, ModelEntry] = {}
        for index, item in enumerate(self.items(node, "models")):
            path = f"models[{index}]"
            entry = self.model(item, path)
            if any(entry.source == other.source for other in found.values()):
                self.fail(item, path, "is the same as a model before it; keep one")
            if entry.label in found:
                self.fail(
                    item, path, f"a second model is called '{entry.label}'; give it a `label`"
                )
            found[entry.label] = entry
        return tuple(found.values())

    def model(self, node: yaml.Node, path: str) -> ModelEntry:
        """A recipe's name, a file's name, or a mapping with the key `zoo` or `file`."""
        place = place_of(self.file, node)
        if isinstance(node, yaml.ScalarNode):
            text = self.text(node, path)
            if text in [recipe.name for recipe in list_recipes()]:
                return ModelEntry(text, ZooModel(text), place)
            return ModelEntry(_stem(text), FileModel(self.path(node, path)), place)
        keys = [k.value for k, _ in node.value] if isinstance(node, yaml.MappingNode) else []
        if "zoo" in keys:
            return self.zoo_model(self.entries(node, path, _ZOO_KEYS), path, place)
        given = self.entries(node, path, _FILE_KEYS)
        if "file" not in given:
            self.fail(node, path, "names no model; give the key file or zoo")
        return self.file_model(given, path, place)

    def file_model(self, given: dict[str, yaml.Node], path: str, place: str) -> ModelEntry:
        bound = {
            name: self.entries(given[name], f"{path}.{name}") if name in given else {}
            for name in ("dims", "shapes", "values")
        }
        source = FileModel(
            path=self.path(given["file"], f"{path}.file"),
            dims=tuple(
                (name, self.whole(node, f"{path}.dims.{name}"))
                for name, node in bound["dims"].items()
            ),
            shapes=tuple(
                (name, self.shape(node, f"{path}.shapes.{name}"))
                for name, node in bound["shapes"].items()
            ),
            values=tuple(
                (name, self.numbers(node, f"{path}.values.{name}"))
                for name, node in bound["values"].items()
            ),
        )
        label = _stem(self.text(given["file"], f"{path}.file"))
        return ModelEntry(self.label(given, path, label), source, place)

    def zoo_model(self, given: dict[str, yaml.Node], path: str, place: str) -> ModelEntry:
        recipes = [recipe.name for recipe in list_recipes()]
        name = self.one_of(given["zoo"], f"{path}.zoo", recipes)
        sizes = {
            key: self.whole(given[key], f"{path}.{key}") if key in given else None
            for key in ("batch", "seq", "past")
        }
        phase = "prefill"
        if "phase" in given:
            phase = self.one_of(given["phase"], f"{path}.phase", ("prefill", "decode"))
        settings = {}
        if "set" in given:
            for key, node in self.entries(given["set"], f"{path}.set").items():
                settings[key] = self.text(node, f"{path}.set.{key}")
        if "layers" in given:
            settings["layers"] = self.text(given["layers"], f"{path}.layers")
        source = ZooModel(
            recipe=name,
            **sizes,
            phase=cast('Literal["prefill", "decode"]', phase),
            settings=tuple(sorted(settings.items())),
        )
        return ModelEntry(self.label(given, path, name), source, place)

    def label(self, given: dict[str, yaml.Node], path: str, default: str) -> str:
        return self.text(given["label"], f"{path}.label") if "label" in given else default

    def shape(self, node: yaml.Node, path: str) -> tuple[int, ...]:
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.whole(n, f"{path}[{i}]") for i, n in enumerate(node.value))
        sizes = self.text(node, path).lower().split("x")
        if not all(size.isdecimal() and len(size) <= 15 for size in sizes):
            self.fail(node, path, "is no shape; write it like 1x3x224x224 or [1, 3, 224, 224]")
        return tuple(map(int, sizes))

    def path(self, node: yaml.Node, path: str) -> Path:
        """A file that exists, relative to the sweep file."""
        found = self.folder / self.text(node, path)
        try:
            there = found.is_file()
        except (OSError, ValueError):
            there = False
        if not there:
            missing = FileNotFoundError(2, "there is no such file")
            wanted = "paths are relative to the sweep file; t10c zoo list shows recipes"
            place = place_of(self.file, node)
            raise FileAccessError(f"{place}: {path}: {unreadable(found, missing, wanted)}")
        return found

    def chip(self, node: yaml.Node, path: str) -> Chip:
        text = self.text(node, path)
        if text in preset_names():
            return Chip(text, text)
        close = did_you_mean(text, preset_names())
        if close and not (self.folder / text).exists():
            self.fail(node, path, f"there is neither a preset nor a file '{text}'{close}")
        return Chip(text, self.path(node, path))

    def axes(self, node: yaml.Node | None, options: SweepOptions) -> tuple[Axis, ...]:
        if node is None:
            return ()
        axes: list[Axis] = []
        allowed = (*SHORT_NAMES, *(p for p in settable_paths() if p not in ("name", "notes")))
        for name, item in self.entries(node, "overrides", allowed).items():
            key, path = SHORT_NAMES.get(name, name), f"overrides.{name}"
            for other in axes:
                if other.key == key:
                    self.fail(item, path, f"is {key}, as `{other.name}` is; keep one")
            if key == "shift_buffer.policy" and options.buffers is not None:
                self.fail(item, path, "contradicts options.buffers; keep one")

            def value(node: yaml.Node, path: str, key: str = key) -> str:
                return self.value(node, path, key)

            axes.append(Axis(name, key, self.distinct(item, path, value)))
        return tuple(axes)

    def value(self, node: yaml.Node, path: str, key: str) -> str:
        """A text that the key of the specification may have."""
        known = key_at(key)
        assert known is not None, "the key is a settable one"
        if known.kind == "grid" and isinstance(node, yaml.SequenceNode):
            text = "x".join(self.text(n, f"{path}[{i}]") for i, n in enumerate(node.value))
        else:
            text = self.text(node, path)
        try:
            parse_value(known, Entry(text, ""))
        except ValueError as error:
            self.fail(node, path, str(error))
        return text

    def options(self, node: yaml.Node | None) -> SweepOptions:
        if node is None:
            return SweepOptions()
        choices = {
            "search": ("pruned", "exhaustive"),
            "transitions": ("exact", "uniform"),
            "buffers": ("fixed", "double"),
        }
        given = self.entries(node, "options", (*choices, "persistent", "simulate"))
        found: dict[str, object] = {
            name: self.one_of(given[name], f"options.{name}", words)
            for name, words in choices.items()
            if name in given
        }
        if "persistent" in given:
            found["persistent"] = self.distinct(
                given["persistent"], "options.persistent", self.text
            )
        if "simulate" in given:
            found["simulate"] = self.flag(given["simulate"], "options.simulate")
        return SweepOptions(**found)  # type: ignore[arg-type]  # each was read as its kind


def _stem(text: str) -> str:
    return Path(text).name.removesuffix(".onnx")
