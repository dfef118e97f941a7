"""Flat entries to a `HardwareSpec`: values in range, numbers with sources, keys that agree."""

from collections.abc import Callable
from typing import TypeVar, cast

from t10c.hardware import forms, schema
from t10c.hardware.reader import COMMAND_LINE, Entry, FlatSpec
from t10c.hardware.schema import Key
from t10c.hardware.spec import (
    BufferPolicy,
    Chips,
    CostForm,
    HardwareSpec,
    Interconnect,
    KernelModel,
    Offchip,
    ShiftBuffer,
    Topology,
)
from t10c.hardware.units import Quantity, parse_grid, parse_quantity
from t10c.suggest import did_you_mean, shorten

T = TypeVar("T")
Value = str | bool | tuple[int, int] | tuple[str, ...] | Quantity


class Validation:
    """One run over the merged entries; `problems` are the messages, in the order of the file.

    Where the file has structural problems, keys may be missing because of them: no complaint then.
    """

    def __init__(self, file: str, flat: FlatSpec) -> None:
        self.file = file
        self.entries = flat.entries
        self.sources = dict(flat.sources)
        self.values: dict[str, Value] = {}
        self.problems = list(flat.problems)
        self.may_miss_keys = bool(flat.problems)

    def spec(self) -> HardwareSpec | None:
        """The specification, or None if there are problems."""
        for path, entry in self.entries.items():
            key = schema.key_at(path)
            assert key is not None
            self.check(key, entry)
        self.complete()
        if not self.problems:
            self.agree()
        return None if self.problems else _build(self.values, self.sources)

    def miss(self, path: str, what: str) -> None:
        """Note an absent key."""
        if not self.may_miss_keys:
            self.complain(path, f"is missing; {what}")

    def complain(self, path: str, what: str) -> None:
        """Note a problem, where the value stands or at the head of the file."""
        entry = self.entries.get(path)
        place = entry.place if entry else f"{self.file}:1:1"
        separator = " " if place == COMMAND_LINE else ": "
        self.problems.append(f"{place}{separator}{path}: {what}")

    def check(self, key: Key, entry: Entry) -> None:
        """Parse one value and require its source."""
        try:
            self.values[key.path] = parse_value(key, entry)
        except ValueError as error:
            self.complain(key.path, str(error))
            return
        if key.numeric and key.path not in self.sources:
            section, _, name = key.path.rpartition(".")
            where = f"{section}.source" if section else "source"
            self.complain(key.path, f"has no source; say where the number is from: {where}.{name}")

    def complete(self) -> None:
        """Fill in defaults and miss what is required."""
        for key in schema.KEYS:
            if key.path in self.entries:
                continue
            if key.required:
                self.miss(key.path, f"it is the {key.meaning}")
            elif key.default is not None:
                self.values[key.path] = parse_value(key, Entry(key.default, "default"))
                if key.numeric:
                    self.sources[key.path] = "default of t10c"
        if "cores.count" not in self.entries and "cores.grid" not in self.entries:
            self.miss("cores.count", "give it or cores.grid")
        for family in forms.ALL_FAMILIES:
            given = any(path.startswith(f"kernels.{family}.") for path in self.entries)
            if given or family in forms.FAMILIES:
                self.complete_kernel(family)

    def complete_kernel(self, family: str) -> None:
        """Require a form, and the coefficients that the form has."""
        base = f"kernels.{family}"
        form = self.values.get(f"{base}.form")
        if f"{base}.form" not in self.entries:
            allowed = ", ".join(schema.forms_of(family))
            self.miss(f"{base}.form", f"it is one of {allowed}")
        if form is None:
            return
        prefix = f"{base}.coefficients."
        given = {p.removeprefix(prefix) for p in self.entries if p.startswith(prefix)}
        allowed_names = schema.allowed_coefficients(str(form), family)
        for name in sorted(given - set(allowed_names)):
            what = f"form {form} has no such coefficient; it has {', '.join(allowed_names)}"
            self.complain(prefix + name, what)
        required = schema.required_coefficients(str(form), family)
        for name in required:
            if name not in given:
                self.miss(prefix + name, f"form {form} needs it")
        features = [name for name in allowed_names if name not in required]
        if features and not given.intersection(features):
            self.miss(f"{base}.coefficients", f"a fit has one of {', '.join(features)}")

    def agree(self) -> None:
        """Checks that need several keys."""
        cores = _core_count(self.values)
        if "cores.count" in self.values and _quantity(self.values, "cores.count") != cores:
            self.complain("cores.count", f"contradicts cores.grid, which has {cores} cores")
        kind = self.values["interconnect.kind"]
        if kind != "all-to-all" and "cores.grid" not in self.values:
            self.complain("interconnect.kind", f"{kind} needs cores.grid: ROWSxCOLUMNS")
        chips = int(_quantity(self.values, "chips.count"))
        if cores % chips:
            self.complain(
                "cores.count" if "cores.count" in self.values else "cores.grid",
                f"{cores} cores do not divide over {chips} chips; count all chips' cores",
            )
        sram = _quantity(self.values, "cores.sram")
        reserved = _quantity(self.values, "cores.reserved")
        if reserved >= sram:
            self.complain("cores.reserved", "leaves nothing of cores.sram; it must be smaller")
        elif (
            self.values["shift_buffer.policy"] == "fixed"
            and _quantity(self.values, "shift_buffer.size") > sram - reserved
        ):
            self.complain("shift_buffer.size", "is larger than the usable scratchpad of a core")
        if "offchip.capacity" in self.values and "offchip.bandwidth" not in self.values:
            self.complain("offchip.capacity", "needs offchip.bandwidth beside it")


def parse_value(key: Key, entry: Entry) -> Value:
    """The value of a key; ValueError says what is wrong and what is allowed."""
    text = entry.text.strip()
    match key.kind:
        case "texts":
            return entry.items if entry.items is not None else (text,)
        case "text":
            if len(text) > 1000:
                raise ValueError("is longer than 1000 characters")
            return " ".join(text.split())
        case "name":
            if not 1 <= len(text) <= 64 or not all(c.isalnum() or c in "._-" for c in text):
                raise ValueError(f"'{shorten(text)}' is not a name; use letters, digits, . _ -")
            return text
        case "choice":
            if text not in key.choices:
                close = did_you_mean(text, key.choices)
                allowed = ", ".join(key.choices)
                raise ValueError(f"'{shorten(text)}' is not allowed; one of {allowed}{close}")
            return text
        case "boolean":
            if text not in ("true", "false"):
                raise ValueError(f"'{shorten(text)}' is not a boolean; true or false")
            return text == "true"
        case "grid":
            rows, columns = parse_grid(text)
            if rows * columns > key.high:
                raise ValueError(f"'{text}' has more than {key.high:,.0f} cores")
            return rows, columns
        case "size" | "frequency" | "rate" | "duration" | "number":
            return _in_range(key, text, parse_quantity(text, key.kind))


def _in_range(key: Key, text: str, quantity: Quantity) -> Quantity:
    if quantity.value < key.low:
        bound = "negative" if quantity.value < 0 else "too small"
        raise ValueError(f"'{text}' is {bound}; at least {key.low:g} {_base_unit(key, quantity)}")
    if quantity.value > key.high:
        raise ValueError(f"'{text}' is too large; at most {key.high:g} {_base_unit(key, quantity)}")
    if key.whole and quantity.value != int(quantity.value):
        raise ValueError(
            f"'{text}' is not a whole number of {_base_unit(key, quantity) or 'units'}"
        )
    return quantity


def _base_unit(key: Key, quantity: Quantity) -> str:
    match key.kind:
        case "size":
            return "B"
        case "frequency":
            return "Hz"
        case "rate":
            return f"B/{quantity.basis}"
        case "duration":
            return "s" if quantity.basis == "second" else "cycles"
    return key.path.partition(".")[0] if key.whole else ""


def _quantity(values: dict[str, Value], path: str) -> float:
    return cast(Quantity, values[path]).value


def _core_count(values: dict[str, Value]) -> int:
    if "cores.grid" in values:
        rows, columns = cast(tuple[int, int], values["cores.grid"])
        return rows * columns
    return int(_quantity(values, "cores.count"))


def _build(values: dict[str, Value], sources: dict[str, str]) -> HardwareSpec:
    """The specification in base units; all checks have passed."""
    clock_hz = _quantity(values, "clock")

    def number(path: str) -> float:
        return _quantity(values, path)

    def text(path: str) -> str:
        return str(values[path])

    def optional(path: str, convert: Callable[[Quantity], T]) -> T | None:
        return convert(cast(Quantity, values[path])) if path in values else None

    def rate(quantity: Quantity) -> float:
        return quantity.per_second(clock_hz)

    def cycles(path: str) -> float:
        return cast(Quantity, values[path]).in_cycles(clock_hz)

    link = rate(cast(Quantity, values["interconnect.link_bandwidth"]))
    element = text("element_type")
    offchip_bandwidth = optional("offchip.bandwidth", rate)
    return HardwareSpec(
        name=text("name"),
        description=text("description"),
        clock_hz=clock_hz,
        element_type=element,
        element_bytes=schema.ELEMENT_BYTES[element],
        accumulator_bytes=schema.ELEMENT_BYTES[str(values.get("accumulator_type", element))],
        core_count=_core_count(values),
        core_grid=cast("tuple[int, int] | None", values.get("cores.grid")),
        sram_bytes=int(number("cores.sram")),
        reserved_bytes=int(number("cores.reserved")),
        interconnect=Interconnect(
            kind=cast(Topology, values["interconnect.kind"]),
            link_bandwidth_bytes_per_second=link,
            cycles_per_byte=clock_hz / (link * number("interconnect.efficiency")),
            hop_latency_cycles=cycles("interconnect.hop_latency"),
            sync_cycles=cycles("interconnect.sync"),
        ),
        chips=Chips(
            count=int(number("chips.count")),
            link_bandwidth_bytes_per_second=optional("chips.link_bandwidth", rate),
            communication_factor=number("chips.communication_factor"),
        ),
        offchip=None
        if offchip_bandwidth is None
        else Offchip(offchip_bandwidth, optional("offchip.capacity", lambda q: int(q.value))),
        shift_buffer=ShiftBuffer(
            cast(BufferPolicy, values["shift_buffer.policy"]), int(number("shift_buffer.size"))
        ),
        overlap_shift_compute=values["overlap_shift_compute"] is True,
        kernels=tuple(
            (family, _kernel(values, sources, family))
            for family in forms.ALL_FAMILIES
            if f"kernels.{family}.form" in values
        ),
        sources=tuple(sorted((p, s) for p, s in sources.items() if p in values)),
        notes=cast("tuple[str, ...]", values.get("notes", ())),
    )


def _kernel(values: dict[str, Value], sources: dict[str, str], family: str) -> KernelModel:
    base = f"kernels.{family}"
    form = cast(CostForm, values[f"{base}.form"])
    names = schema.allowed_coefficients(form, family)
    paths = [(name, f"{base}.coefficients.{name}") for name in names]
    used = [(name, path) for name, path in paths if path in values]
    texts = dict.fromkeys(sources[path] for _, path in used)
    mape = f"{base}.confidence_mape"
    return KernelModel(
        form=form,
        coefficients=tuple((name, _quantity(values, path)) for name, path in used),
        source="; ".join(texts),
        confidence_mape=_quantity(values, mape) if mape in values else None,
    )
