"""Specification files to `HardwareSpec`: presets, user files, `extends` and overrides."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from t10c.errors import FileAccessError, InvalidSpecError, UsageError
from t10c.files import unreadable
from t10c.hardware import schema
from t10c.hardware.reader import COMMAND_LINE, Entry, FlatSpec, read_text
from t10c.hardware.spec import OVERRIDDEN, HardwareSpec
from t10c.hardware.validate import Validation
from t10c.hardware.written import written_spec
from t10c.resources import resource_directory
from t10c.suggest import did_you_mean, shorten
from t10c.yaml_nodes import decoded

LARGEST_FILE_BYTES = 1 << 20
_LONGEST_CHAIN = 5
_MOST_PROBLEMS_SHOWN = 2
_MOVE_KEYS = {"clock", "interconnect.link_bandwidth", "interconnect.efficiency"}
"""Keys that decide what it costs to move a byte."""


@dataclass(frozen=True, slots=True)
class WrittenSpec:
    """A specification as its file, and those that it extends, write it: read once for any changes.

    Its entries need not be valid.
    """

    path: Path
    flat: FlatSpec

    def resolved(self, overrides: Sequence[str] = ()) -> HardwareSpec:
        """The specification with `KEY=VALUE` overrides.

        Raises InvalidSpecError if it is not valid, UsageError if an override is not KEY=VALUE.
        """
        flat = _lay_over(self.flat, _override_layer(overrides)) if overrides else self.flat
        spec = _resolved(str(self.path), flat)
        return replace(spec, notes=(*spec.notes, *_notes(spec, overrides)))


def preset_names() -> tuple[str, ...]:
    """Names of the shipped specifications."""
    return tuple(sorted(path.stem for path in resource_directory("hwspecs").glob("*.yaml")))


def load_spec(name_or_path: str, overrides: Sequence[str] = ()) -> HardwareSpec:
    """The resolved specification of a preset or a file, with `KEY=VALUE` overrides.

    Raises FileAccessError if it is neither or cannot be read, InvalidSpecError if it is not valid,
    UsageError if an override is not KEY=VALUE.
    """
    return read_spec(name_or_path).resolved(overrides)


def load_spec_file(path: Path, overrides: Sequence[str] = ()) -> HardwareSpec:
    """As `load_spec`, for a file even if a preset has the same name."""
    return read_spec_file(path).resolved(overrides)


def read_spec(name_or_path: str) -> WrittenSpec:
    """What a preset or a file writes.

    Raises FileAccessError if it is neither or cannot be read, InvalidSpecError if it is no YAML.
    """
    return read_spec_file(_find(name_or_path))


def read_spec_file(path: Path) -> WrittenSpec:
    """As `read_spec`, for a file even if a preset has the same name."""
    return WrittenSpec(path, _read_chain(path, ()))


def changed_spec(spec: HardwareSpec, overrides: Sequence[str]) -> HardwareSpec:
    """A resolved specification with `KEY=VALUE` overrides: all else stays as it is, in base units.

    Durations stay in cycles and rates in bytes per second, also if the clock changes. Raises
    InvalidSpecError if the result is not valid, UsageError if an override is not KEY=VALUE.
    """
    if not overrides:
        return spec
    place = f"hardware {spec.name}"
    layer = _override_layer(overrides)
    changed = _resolved(place, _lay_over(written_spec(spec, place), layer))
    if not _MOVE_KEYS & set(layer.entries):
        cost = spec.interconnect.cycles_per_byte
        changed = replace(changed, interconnect=replace(changed.interconnect, cycles_per_byte=cost))
    return replace(changed, notes=(*spec.notes, _overridden(overrides)))


def _resolved(place: str, flat: FlatSpec) -> HardwareSpec:
    validation = Validation(place, flat)
    spec = validation.spec()
    if spec is None:
        raise InvalidSpecError(_terse(validation.problems))
    return spec


def _find(name_or_path: str) -> Path:
    preset = resource_directory("hwspecs") / f"{name_or_path}.yaml"
    if name_or_path in preset_names():
        return preset
    path = Path(name_or_path)
    try:
        if path.exists():
            return path
    except (OSError, ValueError):
        pass  # a name that no file can have: report it as missing
    close = did_you_mean(name_or_path, preset_names())
    if close:
        raise FileAccessError(
            f"cannot read '{shorten(name_or_path)}': no such preset or file{close}\n"
            f"{_presets_text()}"
        )
    missing = FileNotFoundError(errno.ENOENT, "no such preset or file")
    raise unreadable(name_or_path, missing, _presets_text())


def _presets_text() -> str:
    return f"give a specification file, or one of the presets: {', '.join(preset_names())}"


def _read_file(path: Path) -> FlatSpec:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise unreadable(path, error, _presets_text()) from error
    if len(data) > LARGEST_FILE_BYTES:
        raise InvalidSpecError(f"{path}: is larger than 1 MiB: no hardware specification")
    return read_text(decoded(data, str(path), InvalidSpecError), str(path))


def _read_chain(path: Path, above: tuple[Path, ...]) -> FlatSpec:
    """A file laid over the one it `extends`, if any."""
    flat = _read_file(path)
    base_entry = flat.entries.get("extends")
    if base_entry is None:
        return flat
    chain = (*above, path.resolve())
    base_path = _base_file(base_entry, path)
    if base_path.resolve() in chain or len(chain) >= _LONGEST_CHAIN:
        raise InvalidSpecError(
            f"{base_entry.place}: extends: '{shorten(base_entry.text)}' leads back or too far"
        )
    return _lay_over(_read_chain(base_path, chain), flat)


def _lay_over(base: FlatSpec, layer: FlatSpec) -> FlatSpec:
    """`layer` over `base`: a number given anew loses its source, and what contradicts it goes."""
    dropped = set(layer.entries)
    if dropped & {"cores.count", "cores.grid"}:
        dropped |= {"cores.count", "cores.grid"}
    for path, entry in layer.entries.items():
        old = base.entries.get(path)
        if path.endswith(".form") and old is not None and old.text != entry.text:
            section = path.removesuffix("form")
            dropped |= {p for p in base.entries if p.startswith(section)}
    kept = {path: entry for path, entry in base.entries.items() if path not in dropped}
    sources = {path: text for path, text in base.sources.items() if path not in dropped}
    return FlatSpec(kept | layer.entries, sources | layer.sources, base.problems + layer.problems)


def _base_file(entry: Entry, path: Path) -> Path:
    beside = path.parent / entry.text
    if entry.text not in preset_names() and beside.is_file():
        return beside
    try:
        return _find(entry.text)
    except FileAccessError as error:
        raise InvalidSpecError(f"{entry.place}: extends: {error}") from error


def _override_layer(overrides: Sequence[str]) -> FlatSpec:
    """The overrides as entries whose source is the command line; the last of a key wins."""
    entries: dict[str, Entry] = {}
    sources: dict[str, str] = {}
    for override in overrides:
        key, entry = _parse_override(override)
        entries[key] = entry
        sources[key] = f"command line: {COMMAND_LINE} {key}={entry.text}"
    return FlatSpec(entries, sources, ())


def _parse_override(override: str) -> tuple[str, Entry]:
    key, equals, value = override.partition("=")
    key = key.strip()
    place = f"{COMMAND_LINE} {shorten(key)}"
    if not equals or not key:
        raise UsageError(
            f"{COMMAND_LINE} '{shorten(override)}': write KEY=VALUE like cores.sram=1MiB"
        )
    known = schema.key_at(key)
    if known is None or key == "extends":
        close = did_you_mean(key, schema.settable_paths())
        raise InvalidSpecError(f"{place}: unknown key{close or '; see `t10c hw show`'}")
    if not value.strip():
        raise UsageError(f"{place}: has no value; write KEY=VALUE")
    return key, Entry(value.strip(), COMMAND_LINE)


def _terse(problems: Sequence[str]) -> str:
    """At most three lines."""
    shown = list(problems[:_MOST_PROBLEMS_SHOWN])
    more = len(problems) - len(shown)
    if more == 1:
        shown.append(problems[-1])
    elif more:
        shown.append(f"... and {more} more problems")
    return "\n".join(shown)


def _notes(spec: HardwareSpec, overrides: Sequence[str]) -> list[str]:
    """What a reader of a report should know of how this chip is priced."""
    notes = []
    if overrides:
        notes.append(_overridden(overrides))
    estimates = [path for path, source in spec.sources if "estimate" in source.lower()]
    if estimates:
        notes.append(f"estimated, not measured: {_summary(estimates, len(spec.kernels))}")
    fitted = [family for family, model in spec.kernels if model.form == "fit"]
    if fitted and any(
        override.partition("=")[0].strip() == "element_type" for override in overrides
    ):
        notes.append(f"the fits of {', '.join(fitted)} were measured with another element type")
    kind = spec.interconnect.kind
    if kind != "all-to-all":
        notes.append(
            f"the cost model prices {kind} as all-to-all at the bandwidth of one link, without hops"
            " and shared links: simple cost"
        )
    if spec.offchip is not None:
        notes.append("off-chip memory is not priced")
    return notes


def _overridden(overrides: Sequence[str]) -> str:
    return OVERRIDDEN + ", ".join(o.strip() for o in overrides)


def _summary(paths: Sequence[str], families: int) -> str:
    """Key paths, with the coefficients of a kernel as one, and all families of kernels as one."""
    short = list(dict.fromkeys(path.split(".coefficients.")[0] for path in paths))
    kernels = [path for path in short if path.startswith("kernels.")]
    if len(kernels) == families:
        short = [path for path in short if path not in kernels] + ["kernels"]
    return ", ".join(short)
