"""Compute-shift beside a baseline: a table of at most 25 lines, CSV, Markdown."""

from collections import defaultdict
from collections.abc import Sequence

from t10c.baselines.comparison import ComparedBatch, ComparedOperator, Figures, SideBySide
from t10c.report.markdown import code, escaped, markdown_table
from t10c.report.rows import csv_text
from t10c.report.text import (
    LINE_WIDTH,
    cycles_text,
    percent_text,
    shorten,
    size_text,
    table_lines,
    time_text,
)
from t10c.serialise import field_hints

_MOST_BATCHES = 8
_TOP_OPERATORS = 7
_NAME_WIDTH = 36
_BATCH_HEADER = (
    *("batch", "t10c", "baseline", "faster", "transfers", "baseline"),
    *("GB/s per core", "baseline", "peak per core", "baseline"),
)
_OPERATOR_HEADER = (
    *("kernel", "alike", "cycles", "baseline", "faster", "transfers", "baseline"),
    *("GB/s", "baseline"),
)
_BASELINES = {
    "vgm": "virtual global memory: tensors evenly on all cores, tiles loaded and stored",
}


def comparison_lines(comparison: SideBySide, every: bool = False) -> list[str]:
    """The comparison for people: at most 25 lines, unless `every` operator is wanted."""
    batches = comparison.batches if every else comparison.batches[:_MOST_BATCHES]
    lines = [
        f"model      {shorten(comparison.model, 60)}",
        f"chip       {_chip_text(comparison)}",
        f"baseline   {_baseline_text(comparison)}",
        *table_lines(_BATCH_HEADER, [_batch_row(b, comparison) for b in batches]),
    ]
    if len(comparison.batches) > len(batches):
        lines.append(f"and {len(comparison.batches) - len(batches)} more batches: --all")
    misfits = list(dict.fromkeys(_misfits(comparison)))
    lines += [f"misfit     {text}" for text in (misfits if every else misfits[:2])]
    if comparison.largest_batch is not None:
        lines.append(f"fits       {_largest_text(comparison)}")
    shown = _shown(comparison)
    if shown is not None:
        title = _operators_title(shown)
        if every:
            rows = [_operator_row(o, 1, name_width=60) for o in shown.operators]
        else:
            rows = [_operator_row(o, n) for o, n in _longest(shown)]
        lines += table_lines((title, *_OPERATOR_HEADER), rows, left=(0, 1))
    return lines if every else [shorten(line, LINE_WIDTH) for line in lines]


def comparison_markdown(comparison: SideBySide) -> list[str]:
    """The comparison as tables in Markdown: batches, then operators, folded."""
    lines = [
        f"### {escaped(shorten(comparison.model, 80))} on {escaped(comparison.hardware)}, "
        f"beside {escaped(_baseline_text(comparison))}",
        "",
        *markdown_table(_BATCH_HEADER, [_batch_row(b, comparison) for b in comparison.batches]),
    ]
    notes = list(dict.fromkeys(_misfits(comparison)))
    if comparison.largest_batch is not None:
        notes.append(_largest_text(comparison))
    lines += [line for note in notes for line in ("", escaped(note))]
    shown = _shown(comparison)
    if shown is None:
        return lines
    rows = [_operator_row(o, n, name_width=80) for o, n in _longest(shown, 20)]
    header = ("operator", *_OPERATOR_HEADER)
    table = markdown_table(header, [[code(r[0]), *r[1:]] for r in rows], left=(0, 1))
    summary = f"<details><summary>{escaped(_operators_title(shown))}</summary>"
    return [*lines, "", summary, "", *table, "", "</details>"]


def comparison_csv(comparison: SideBySide) -> str:
    """One row per operator and batch, then one of the whole model; empty where none fits."""
    figures = tuple(field_hints(Figures))
    columns = [f"{side}_{name}" for side in ("compute_shift", "baseline") for name in figures]
    rows: list[list[object]] = [["batch", "name", "op_type", "kernel", *columns]]
    for batch in comparison.batches:
        number = "" if batch.batch is None else batch.batch
        for operator in batch.operators:
            about = [number, operator.name, operator.op_type, operator.kernel]
            sides = (operator.compute_shift, operator.baseline)
            rows.append([*about, *_cells(sides, figures)])
        both = (batch.compute_shift, batch.baseline)
        rows.append([number, "(model)", "", "", *_cells(both, figures)])
    return csv_text(rows)


def _cells(sides: Sequence[Figures | None], names: Sequence[str]) -> list[object]:
    return [("" if side is None else getattr(side, name)) for side in sides for name in names]


def _chip_text(comparison: SideBySide) -> str:
    changes = ", ".join(comparison.hardware_overrides)
    cores = f"{comparison.core_count:,} cores x {size_text(comparison.core_bytes)}"
    return f"{comparison.hardware}: {cores}{f' ({changes})' if changes else ''}"


def _baseline_text(comparison: SideBySide) -> str:
    return f"{comparison.baseline}: {_BASELINES[comparison.baseline]}"


def _misfits(comparison: SideBySide) -> list[str]:
    return [
        f"{'' if b.batch is None else f'batch {b.batch}, '}{text}"
        for b in comparison.batches
        for text in b.misfits
    ]


def _largest_text(comparison: SideBySide) -> str:
    found = comparison.largest_batch
    assert found is not None

    def text(batch: int) -> str:
        return f"{batch} or more" if batch == found.searched else str(batch)

    return (
        f"largest batch: t10c {text(found.compute_shift)}, baseline {text(found.baseline)}"
        f" (of 1 to {found.searched})"
    )


# Rows


def _batch_row(batch: ComparedBatch, comparison: SideBySide) -> list[str]:
    mine, theirs = batch.compute_shift, batch.baseline

    def time(figures: Figures | None) -> str:
        if figures is None:
            return "does not fit"
        return time_text(figures.latency_cycles / comparison.clock_hz)

    return [
        "-" if batch.batch is None else str(batch.batch),
        time(mine),
        time(theirs),
        "" if batch.speedup is None else f"{batch.speedup:.2f}x",
        *("" if f is None else percent_text(f.transfer_share) for f in (mine, theirs)),
        *("" if f is None else _rate_text(f) for f in (mine, theirs)),
        *("" if f is None else size_text(f.peak_core_bytes) for f in (mine, theirs)),
    ]


def _rate_text(figures: Figures) -> str:
    return f"{figures.achieved_bytes_per_second / 1e9:.2f}"


def _shown(comparison: SideBySide) -> ComparedBatch | None:
    """The first batch that fits both ways: its operators are shown."""
    return next((b for b in comparison.batches if b.operators), None)


def _operators_title(batch: ComparedBatch) -> str:
    return "operators" if batch.batch is None else f"operators at batch {batch.batch}"


def _operator_row(
    operator: ComparedOperator, count: int, name_width: int = _NAME_WIDTH
) -> list[str]:
    mine, theirs = operator.compute_shift, operator.baseline
    faster = theirs.latency_cycles / mine.latency_cycles if mine.latency_cycles else 0.0
    return [
        shorten(operator.name, name_width),
        operator.kernel,
        str(count),
        cycles_text(mine.latency_cycles * count),
        cycles_text(theirs.latency_cycles * count),
        f"{faster:.2f}x" if faster else "",
        percent_text(mine.transfer_share),
        percent_text(theirs.transfer_share),
        _rate_text(mine),
        _rate_text(theirs),
    ]


def _longest(
    batch: ComparedBatch, most: int = _TOP_OPERATORS
) -> list[tuple[ComparedOperator, int]]:
    """Operators on which the baseline spends most, those alike together: the first, how many."""
    grouped: dict[tuple[object, ...], list[ComparedOperator]] = defaultdict(list)
    for operator in batch.operators:
        cycles = (operator.compute_shift.latency_cycles, operator.baseline.latency_cycles)
        key = (operator.kernel, operator.op_type, *(round(c, 3) for c in cycles))
        grouped[key].append(operator)
    groups = sorted(
        grouped.values(), key=lambda found: -len(found) * found[0].baseline.latency_cycles
    )
    return [(found[0], len(found)) for found in groups[:most]]
