"""The page docs/validation.md: its text, validation.md.in, with tables made of the figures."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from validation_cases import (
    CHIP,
    COMPARED,
    EFFECTS,
    ON_MESHES,
    POD,
    Model,
    Record,
    all_cases,
    records,
)
from validation_operators import cause_table, error_table, even_table, operator_runs, signed

import t10c

TEXT = Path(__file__).resolve().parent / "validation.md.in"


def page(known: Mapping[str, Record]) -> str:
    """docs/validation.md from records by the keys of their cases."""
    planned = list(operator_runs(COMPARED, known))
    meshes = list(operator_runs(ON_MESHES, known))
    parts = {
        "version": t10c.__version__,
        "errors": _lines(error_table(planned)),
        "causes": _lines(cause_table(planned)),
        "even": _lines(even_table(planned)),
        "totals": _lines(total_table(known)),
        "mesh_totals": _lines(mesh_table(known)),
        "mesh_errors": _lines(error_table(meshes)),
        "usable": f"{t10c.load_spec(CHIP).usable_bytes / 1024:,.0f}",
        "commands": _lines(model.command() for model in COMPARED),
        "compared_chip": _lines(compared_table(CHIP, known)),
        "compared_pod": _lines(compared_table(POD, known)),
        "unmeasured": _lines(unmeasured(known)),
        "ratios": _lines(ratio_table(known)),
        "published": _lines(published_table(known)),
        **_stated(published_figures(known)),
    }
    return Template(TEXT.read_text(encoding="utf-8")).substitute(parts)


def _stated(figures: Mapping[str, float]) -> dict[str, str]:
    """Figures as the text has them: ratios and rates with two digits, shares without."""
    return {
        name: f"{value:.2f}" if "ratio" in name or "rate" in name else f"{value:.0f}"
        for name, value in figures.items()
    }


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)


# Models


def unmeasured(known: Mapping[str, Record]) -> Iterator[str]:
    """What `make validation` has still to measure, a paragraph; nothing if all is known."""
    missing = [case.key for case in all_cases() if case.key not in known]
    if missing:
        yield f"Of {len(list(all_cases()))} cases {len(missing)} are not measured yet:"
        yield "; ".join(missing) + "."
        yield ""


def total_table(known: Mapping[str, Record]) -> Iterator[str]:
    """Cost model by simulator of whole models, under both schemes."""
    yield "| model | chip | batches | compute-shift | baseline |"
    yield "|---|---|---|---|---|"
    for model in COMPARED:
        found = [(case, record) for case, record in records([model], known)]
        batches = ", ".join(str(case.batch) for case, _ in found)
        cells = (
            ", ".join(_difference(record[scheme]) for _, record in found)
            for scheme in ("compute_shift", "baseline")
        )
        yield f"| {model.label} | {model.hardware} | {batches} | {' | '.join(cells)} |"


def _difference(figures: Record) -> str:
    if "misfit" in figures:
        return "-"
    return signed(figures["cost_model_cycles"] / figures["latency_cycles"] - 1)


def mesh_table(known: Mapping[str, Record]) -> Iterator[str]:
    """Simulated latencies on meshes beside the cost model, and what lies between."""
    yield f"| model | chip | batch | simulated | cost model | {' | '.join(EFFECTS)} |"
    yield "|---|---|---:|---:|---:|" + "---:|" * len(EFFECTS)
    for case, record in records(ON_MESHES, known):
        figures = record["compute_shift"]
        head = f"| {case.model.label} | {case.model.hardware} | {case.batch} |"
        if "misfit" in figures:
            yield f"{head} {_misfit(figures)} |" + " |" * (1 + len(EFFECTS))
            continue
        total = figures["latency_cycles"]
        sums = [
            sum(row[0] * row[5 + n] for row in record["operators"]) for n in range(len(EFFECTS))
        ]
        shares = " | ".join(signed(cycles / total) for cycles in sums)
        yield f"{head} {_time(figures)} | {_difference(figures)} | {shares} |"


def compared_table(hardware: str, known: Mapping[str, Record]) -> Iterator[str]:
    """Both schemes side by side on one chip."""
    yield "| model | batch | latency | by baseline | ratio | transfers | GB/s | KiB per core |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    models = [model for model in COMPARED if model.hardware == hardware]
    for case, record in records(models, known):
        both = (record["compute_shift"], record["baseline"])
        ratio = speedup(record)
        cells = [
            *map(_time, both),
            "-" if ratio is None else f"{ratio:.2f}",
            _pair(both, lambda f: f"{100 * f['transfer_share']:.0f} %"),
            _pair(both, lambda f: f"{f['achieved_bytes_per_second'] / 1e9:.2f}"),
            _pair(both, lambda f: f"{f['peak_core_bytes'] / 1024:.0f}"),
        ]
        yield f"| {case.model.label} | {case.batch} | {' | '.join(cells)} |"


def _pair(both: Sequence[Record], text: Callable[[Record], str]) -> str:
    return " / ".join("-" if "misfit" in figures else text(figures) for figures in both)


def _time(figures: Record) -> str:
    return _misfit(figures) if "misfit" in figures else f"{figures['latency_ms']:.4f} ms"


def _misfit(figures: Record) -> str:
    wanted, available = (figures[key] / 1024 for key in ("demanded_bytes", "available_bytes"))
    return f"does not fit: {wanted:,.0f} of {available:,.0f} KiB"


# What was published


def speedup(record: Record) -> float | None:
    """Latency of the baseline by that of compute-shift; None where one does not fit."""
    both = (record["compute_shift"], record["baseline"])
    if any("misfit" in figures for figures in both):
        return None
    return float(both[1]["latency_cycles"] / both[0]["latency_cycles"])


def ratio_table(known: Mapping[str, Record]) -> Iterator[str]:
    """Speed-ups of the families of which figures were published."""
    yield "| model | compared | geometric mean | mean | largest |"
    yield "|---|---:|---:|---:|---:|"
    published = [model for model in COMPARED if model.published]
    rows = [(model.label, [model]) for model in published]
    for name, models in [*rows, ("**all of these**", published), ("all of the zoo", [*COMPARED])]:
        ratios = _ratios(models, known)
        if ratios:
            cells = f"{_geometric(ratios):.2f} | {_mean(ratios):.2f} | {max(ratios):.2f}"
            yield f"| {name} | {len(ratios)} | {cells} |"


def _ratios(models: Iterable[Model], known: Mapping[str, Record]) -> list[float]:
    found = [speedup(record) for _, record in records(models, known)]
    return [ratio for ratio in found if ratio is not None]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _geometric(values: Sequence[float]) -> float:
    return math.exp(_mean([math.log(value) for value in values]))


def published_figures(known: Mapping[str, Record]) -> dict[str, float]:
    """Figures of ours that stand beside those of T10, by name."""
    published = [model for model in COMPARED if model.published]
    ratios = _ratios(published, known)
    found = {"mean_ratio": _mean(ratios), "most_ratio": max(ratios), "least_ratio": min(ratios)}
    both = [record for _, record in records(published, known) if speedup(record) is not None]
    for scheme, short in (("compute_shift", "our"), ("baseline", "base")):
        figures = [record[scheme] for record in both]
        for name, value in _FIGURES.items():
            values = [value(each) for each in figures]
            found |= {f"{short}_{name}_least": min(values), f"{short}_{name}_most": max(values)}
            found |= {f"{short}_{name}_mean": _mean(values)}
    return found


def _moving_share(figures: Record) -> float:
    return float(figures["transfer_share"] - figures["sync_share"])


_FIGURES: dict[str, Callable[[Record], Any]] = {
    "transfer": lambda f: 100 * f["transfer_share"],
    "moving": lambda f: 100 * _moving_share(f),
    "contention": lambda f: 100 * f["contention_share"],
    "rate": lambda f: f["achieved_bytes_per_second"] / 1e9,
    "moving_rate": lambda f: (
        f["achieved_bytes_per_second"] / 1e9 * f["transfer_share"] / (_moving_share(f) or 1)
    ),
}


def published_table(known: Mapping[str, Record]) -> Iterator[str]:
    """What T10's authors measured on the chip beside what is simulated here."""
    ours = published_figures(known)

    def span(name: str, unit: str, digits: int) -> str:
        least, most, mean = (ours[f"{name}_{key}"] for key in ("least", "most", "mean"))
        return f"{least:.{digits}f}-{most:.{digits}f}{unit}, mean {mean:.{digits}f}{unit}"

    yield "| | T10, measured | t10c, simulated |"
    yield "|---|---|---|"
    yield f"| speed-up over VGM, mean | 1.69 | {ours['mean_ratio']:.2f} |"
    yield f"| speed-up over VGM, largest | 3.3 | {ours['most_ratio']:.2f} |"
    yield f"| transfer share, VGM | 50-74 % | {span('base_transfer', ' %', 0)} |"
    yield f"| the same without syncs | | {span('base_moving', ' %', 0)} |"
    yield f"| transfer share, compute-shift | 8-43 % | {span('our_transfer', ' %', 0)} |"
    yield f"| the same without syncs | | {span('our_moving', ' %', 0)} |"
    yield f"| GB/s per core, VGM | 2.61-3.87 | {span('base_rate', '', 2)} |"
    yield f"| the same without syncs | | {span('base_moving_rate', '', 2)} |"
    yield f"| GB/s per core, compute-shift | 4.42-4.73 | {span('our_rate', '', 2)} |"
    yield f"| the same without syncs | | {span('our_moving_rate', '', 2)} |"
