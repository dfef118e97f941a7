"""The page docs/search.md: its text, search.md.in, with tables made of the figures."""

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from losses_cases import LIMIT_SECONDS
from measured import Record

import t10c

TEXT = Path(__file__).resolve().parent / "search.md.in"

NEAR = 1e-4
"""Share of the cycles below which nothing is said to be lost."""


@dataclass(frozen=True, slots=True)
class Row:
    """An operator of which both searches are known, and what the thresholds lose of it.

    Pairs are (pruned, exhaustive); `area_lost` is the share of the hypervolume that the pruned
    front lacks. `kept` says that `t10c compile` applies the thresholds to it.
    """

    key: str
    kernel: str
    label: str
    hardware: str
    kept: bool
    best_cycles: tuple[float, float]
    least_bytes: tuple[int, int]
    area_lost: float

    @property
    def cycles_lost(self) -> float:
        """By how much the fastest pruned plan takes longer, as a share."""
        return self.best_cycles[0] / self.best_cycles[1] - 1


def row_of(record: Record) -> Row | None:
    """The row of a record; None if a search was given up, or no plan fits the memory."""
    if "hypervolumes" not in record:
        return None
    both = (record["pruned"], record["exhaustive"])
    pruned, whole = record["hypervolumes"]
    return Row(
        record["key"],
        record["kernel"],
        label_of(record),
        hardware_of(record),
        record["kept"],
        (both[0]["best_cycles"], both[1]["best_cycles"]),
        (both[0]["least_bytes"], both[1]["least_bytes"]),
        1 - pruned / whole if whole else 0.0,
    )


def label_of(record: Record) -> str:
    """An operator in a table: its expression and its axes."""
    axes = " ".join(f"{name}={length}" for name, length in record["axes"].items())
    return f"`{record['text']}`, {axes}"


def hardware_of(record: Record) -> str:
    """The chip for which it was searched."""
    return str(record["key"].split()[0])


def page(models: Sequence[Record], known: Mapping[str, Record]) -> str:
    """docs/search.md from the models and the records by the keys of their operators."""
    rows = [row for record in known.values() if (row := row_of(record)) is not None]
    parts = {
        "version": t10c.__version__,
        "limit": f"{LIMIT_SECONDS:.0f}",
        "kernels": _lines(kernel_table(rows)),
        "models": _lines(model_table(models, known)),
        "slower": _lines(loss_table([row for row in rows if row.cycles_lost > NEAR], models)),
        "others": _lines(left_out(models, known)),
        **stated(rows),
    }
    return Template(TEXT.read_text(encoding="utf-8")).substitute(parts)


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def stated(rows: Sequence[Row]) -> dict[str, str]:
    """Figures that the text names."""
    kept = [row for row in rows if row.kept]
    more = [row.least_bytes[0] / row.least_bytes[1] for row in rows]
    return {
        "searched": f"{len(rows):,}",
        "slower_count": f"{sum(row.cycles_lost > NEAR for row in rows):,}",
        "kept_count": f"{len(kept):,}",
        "kept_slower": f"{sum(row.cycles_lost > NEAR for row in kept):,}",
        "smaller_count": f"{sum(ratio > 1 for ratio in more):,}",
        "most_bytes": percent(max(more) - 1),
    }


def kernel_table(rows: Sequence[Row]) -> Iterator[str]:
    """What is lost by kernel: how many are as fast, and the distribution of both losses."""
    yield from _head("kernel", "operators", "as fast", *_LOSSES)
    kernels = sorted({_kernel(row) for row in rows})
    groups = [(kernel, [row for row in rows if _kernel(row) == kernel]) for kernel in kernels]
    groups += [("**all**", list(rows)), ("**without \\***", [row for row in rows if row.kept])]
    for name, group in groups:
        same = sum(row.cycles_lost <= NEAR for row in group)
        yield f"| {name} | {len(group):,} | {same:,} | {' | '.join(_spread(group))} |"


def _kernel(row: Row) -> str:
    return row.kernel if row.kept else f"{row.kernel} \\*"


_LOSSES = (
    *("cycles lost: median", "90th", "most"),
    *("hypervolume lost: median", "90th", "most"),
)


def _spread(rows: Sequence[Row]) -> list[str]:
    """Cells of the columns `_LOSSES`."""
    lost = (sorted(row.cycles_lost for row in rows), sorted(row.area_lost for row in rows))
    return [percent(percentile(values, share)) for values in lost for share in (0.5, 0.9, 1)]


def percentile(values: Sequence[float], share: float) -> float:
    """The least of rising values that this share of them does not exceed."""
    return values[math.ceil(share * len(values)) - 1]


def model_table(models: Sequence[Record], known: Mapping[str, Record]) -> Iterator[str]:
    """What is lost by model: its operators one by one, each as often as it runs."""
    yield from _head(
        *("model", "chip", "operators", "distinct", "cycles lost", "without \\*"),
        *("hypervolume lost: median", "most"),
        left=2,
    )
    for model in models:
        counted = [(count, row_of(known[key])) for count, key in model["operators"] if key in known]
        rows = [(count, row) for count, row in counted if row is not None]
        head = f"| {model['key'].replace(' ', ', ')} | {model['hardware']}"
        operators = sum(count for count, _ in rows)
        distinct = f"{len(rows)} of {len(model['operators'])}"
        if not rows:
            yield f"{head} | 0 | {distinct} | - | - | - | - |"
            continue
        least = sum(count * row.best_cycles[1] for count, row in rows)
        lost = sum(count * (row.best_cycles[0] - row.best_cycles[1]) for count, row in rows)
        kept = sum(
            count * (row.best_cycles[0] - row.best_cycles[1]) for count, row in rows if row.kept
        )
        areas = [row.area_lost for _, row in rows]
        cells = (lost / least, kept / least, statistics.median(areas), max(areas))
        yield f"{head} | {operators:,} | {distinct} | {' | '.join(map(percent, cells))} |"


def loss_table(rows: Iterable[Row], models: Sequence[Record]) -> Iterator[str]:
    """Operators one by one, those that lose most first."""
    yield from _head(
        *("operator", "of", "chip", "kernel", "best cycles, pruned", "exhaustive", "lost"),
        "hypervolume lost",
        left=4,
    )
    for row in sorted(rows, key=lambda row: (-row.cycles_lost, row.label, row.key)):
        texts = [row.label, users(row.key, models), row.hardware, _kernel(row)]
        cycles = [f"{cycles:,.0f}" for cycles in row.best_cycles]
        lost = [percent(row.cycles_lost), percent(row.area_lost)]
        yield f"| {' | '.join([*texts, *cycles, *lost])} |"


def users(key: str, models: Sequence[Record]) -> str:
    """The first model that has an operator, and how many more have it."""
    names = [m["key"] for m in models if any(used == key for _, used in m["operators"])]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return names[0].replace(" ", ", ") + more


def left_out(models: Sequence[Record], known: Mapping[str, Record]) -> Iterator[str]:
    """Operators that are in no table, and why: a list."""
    keys = list(dict.fromkeys(key for model in models for _, key in model["operators"]))
    slow = [record for record in known.values() if "over_limit" in record]
    yield from _listed("Exhaustive search given up at the limit of CPU time", slow)
    large = [
        record
        for record in known.values()
        if "over_limit" not in record and "hypervolumes" not in record
    ]
    yield from _listed("No plan fits the memory, pruned or not", large)
    missing = sum(key not in known for key in keys)
    if missing:
        yield f"- Not measured yet: {missing:,} of {len(keys):,}."


def _listed(title: str, records: Sequence[Record]) -> Iterator[str]:
    if not records:
        yield f"- {title}: none."
        return
    yield f"- {title}: {len(records):,}."
    for record in records:
        yield f"  - {label_of(record)}, on {hardware_of(record)}"


def _head(*titles: str, left: int = 1) -> Iterator[str]:
    """Head of a table whose first columns are texts."""
    yield f"| {' | '.join(titles)} |"
    yield "|" + "---|" * left + "---:|" * (len(titles) - left)


def percent(share: float) -> str:
    """A share, 0 to 1, as a percentage."""
    return f"{100 * share:,.2f} %"
