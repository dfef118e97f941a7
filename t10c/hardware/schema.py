"""The keys of a specification file: what each means, its kind, its range and its default."""

from dataclasses import dataclass
from typing import Literal, get_args

from t10c.hardware import fits, forms
from t10c.hardware.spec import BufferPolicy, CostForm, Topology
from t10c.hardware.units import QuantityKind

Kind = Literal["text", "name", "choice", "boolean", "grid", "texts"] | QuantityKind

ELEMENT_BYTES = {"float8": 1, "int8": 1, "float16": 2, "bfloat16": 2, "float32": 4}
NUMERIC_KINDS = frozenset({"size", "frequency", "rate", "duration", "number", "grid"})


@dataclass(frozen=True, slots=True)
class Key:
    """One key: `low` and `high` are inclusive bounds in base units; numbers need a source."""

    path: str
    kind: Kind
    meaning: str
    required: bool = False
    default: str | None = None
    low: float = 0.0
    high: float = 1e18
    whole: bool = False
    choices: tuple[str, ...] = ()

    @property
    def numeric(self) -> bool:
        """Whether the value is a number, and therefore needs a source."""
        return self.kind in NUMERIC_KINDS


KEYS: tuple[Key, ...] = (
    Key("name", "name", "what plans and reports call the chip", required=True),
    Key("description", "text", "one line for `t10c hw list`", default=""),
    Key("extends", "text", "preset or file whose keys this one takes over"),
    Key("notes", "texts", "remarks for the report"),
    Key("clock", "frequency", "clock of the cores", required=True, low=1e3, high=1e12),
    Key(
        "element_type",
        "choice",
        "type that planning counts bytes with",
        required=True,
        choices=tuple(ELEMENT_BYTES),
    ),
    Key(
        "accumulator_type",
        "choice",
        "type of partial sums; by default the element type",
        choices=tuple(ELEMENT_BYTES),
    ),
    Key(
        "overlap_shift_compute",
        "boolean",
        "whether shifts run while cores compute",
        default="false",
    ),
    Key("cores.count", "number", "cores of all chips", low=1, high=1e8, whole=True),
    Key("cores.grid", "grid", "rows x columns of cores, all chips", high=1e8),
    Key(
        "cores.sram",
        "size",
        "scratchpad per core",
        required=True,
        low=1,
        high=2.0**40,
        whole=True,
    ),
    Key(
        "cores.reserved",
        "size",
        "scratchpad per core that plans may not use",
        default="0B",
        high=2.0**40,
        whole=True,
    ),
    Key(
        "interconnect.kind",
        "choice",
        "topology",
        required=True,
        choices=get_args(Topology),
    ),
    Key(
        "interconnect.link_bandwidth",
        "rate",
        "nominal bandwidth of one core's link",
        required=True,
        low=1e-6,
    ),
    Key(
        "interconnect.efficiency",
        "number",
        "part of the nominal bandwidth that a move attains",
        default="1",
        low=1e-6,
        high=1,
    ),
    Key(
        "interconnect.hop_latency",
        "duration",
        "latency of one hop between cores",
        default="0cycles",
        high=1e9,
    ),
    Key(
        "interconnect.sync",
        "duration",
        "one synchronisation of all cores",
        required=True,
        high=1e9,
    ),
    Key("chips.count", "number", "chips", default="1", low=1, high=1e6, whole=True),
    Key("chips.link_bandwidth", "rate", "bandwidth of one chip to the others", low=1e-6),
    Key(
        "chips.communication_factor",
        "number",
        "scales all communication if there are several chips",
        default="1",
        low=1,
        high=1e6,
    ),
    Key("offchip.bandwidth", "rate", "off-chip memory bandwidth of all chips", low=1e-6),
    Key("offchip.capacity", "size", "off-chip memory of all chips", low=1, high=1e18, whole=True),
    Key(
        "shift_buffer.policy",
        "choice",
        "`fixed`: one buffer, shifts in rounds; `double`: every rotating piece twice",
        default="fixed",
        choices=get_args(BufferPolicy),
    ),
    Key(
        "shift_buffer.size",
        "size",
        "the buffer of policy `fixed`",
        default="8KiB",
        low=1,
        high=2.0**40,
        whole=True,
    ),
)

SECTIONS = frozenset(key.path.rpartition(".")[0] for key in KEYS) | {"kernels"}
_BY_PATH = {key.path: key for key in KEYS}


def allowed_coefficients(form: str, family: str) -> tuple[str, ...]:
    """Coefficients that a kernel model of this form may have; empty if there is no such model."""
    if form == "fit":
        return fits.COEFFICIENTS.get(family, ())
    return forms.COEFFICIENTS.get((form, family), ())


def required_coefficients(form: str, family: str) -> tuple[str, ...]:
    """Coefficients that a model of this form cannot do without; of a fit only its peak."""
    names = allowed_coefficients(form, family)
    return tuple(name for name in names if form != "fit" or name.startswith("peak"))


def forms_of(family: str) -> tuple[str, ...]:
    """The cost forms that exist for a kernel family."""
    return tuple(form for form in get_args(CostForm) if allowed_coefficients(form, family))


def key_at(path: str) -> Key | None:
    """The key at a dotted path, `kernels.FAMILY...` included."""
    match path.split("."):
        case ["kernels", family, "form"] if family in forms.ALL_FAMILIES:
            return Key(path, "choice", "cost form", required=True, choices=forms_of(family))
        case ["kernels", family, "confidence_mape"] if family in forms.ALL_FAMILIES:
            return Key(path, "number", "cross-validated error of a fit in percent", high=1e4)
        case ["kernels", family, "coefficients", name] if family in forms.ALL_FAMILIES:
            if any(name in allowed_coefficients(form, family) for form in forms_of(family)):
                low = 1e-9 if name in forms.DIVISORS else 0.0
                return Key(path, "number", "coefficient", low=low, high=1e12)
            return None
        case _:
            return _BY_PATH.get(path)


def is_section(path: str) -> bool:
    """Whether keys, rather than a value, stand under the path."""
    match path.split("."):
        case ["kernels", family] | ["kernels", family, "coefficients"]:
            return family in forms.ALL_FAMILIES
        case _:
            return path in SECTIONS


def children(section: str) -> tuple[str, ...]:
    """Names of the keys allowed directly in a section (`""` is the top of the file)."""
    match section.split("."):
        case ["kernels"]:
            return forms.ALL_FAMILIES
        case ["kernels", _]:
            return ("form", "coefficients", "confidence_mape")
        case ["kernels", family, "coefficients"]:
            names = (n for f in forms_of(family) for n in allowed_coefficients(f, family))
            return tuple(dict.fromkeys(names))
    prefix = f"{section}." if section else ""
    paths = [k.path for k in KEYS] + ["kernels"]
    names = (p.removeprefix(prefix).split(".")[0] for p in paths if p.startswith(prefix))
    return tuple(dict.fromkeys(names))


def settable_paths() -> tuple[str, ...]:
    """Every dotted path that an override may set."""
    kernels = [
        f"kernels.{family}.{name}"
        for family in forms.ALL_FAMILIES
        for name in (
            "form",
            "confidence_mape",
            *(f"coefficients.{c}" for c in children(f"kernels.{family}.coefficients")),
        )
    ]
    return (*(key.path for key in KEYS if key.path != "extends"), *kernels)
