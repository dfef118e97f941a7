"""What the page says before any chart: figures, their definitions, and what is an estimate."""

from dataclasses import dataclass

from t10c.report.html.sections import MOST_PHASES
from t10c.report.html.texts import shown
from t10c.report.summary import confidence
from t10c.report.text import cycles_text, percent_text, size_text, size_texts, time_text
from t10c.schedule.result import ModelPlan
from t10c.simulate.result import Simulation


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the summary: what it is, its value, and a line that explains it."""

    name: str
    value: str
    text: str


@dataclass(frozen=True, slots=True)
class Head:
    """The summary of a page; all texts are plain, and not escaped."""

    model: str
    chip: str
    figures: tuple[Figure, ...]
    estimates: tuple[str, ...]
    merged: tuple[str, ...]


def page_head(simulation: Simulation, plan: ModelPlan | None, without_phases: int) -> Head:
    """The head of the page; `without_phases` sections show their parts only."""
    spec = simulation.spec
    chips = f", {spec.chips.count} chips" if spec.chips.count > 1 else ""
    changes = f" ({', '.join(simulation.overrides)})" if simulation.overrides else ""
    return Head(
        model=shown(simulation.model) or "(model without a name)",
        chip=shown(
            f"{spec.name}{changes}: {spec.core_count:,} cores x {size_text(spec.usable_bytes)}"
            f"{chips}, {spec.interconnect.kind}, {spec.clock_hz / 1e9:g} GHz"
        ),
        figures=(
            *_time_figures(simulation),
            _memory_figure(simulation),
            *_transfer_figures(simulation),
        ),
        estimates=_estimates(simulation, plan),
        merged=_merged(without_phases),
    )


def _time_figures(simulation: Simulation) -> tuple[Figure, ...]:
    latency, cost = simulation.latency_cycles, simulation.cost_model_cycles
    bound = simulation.lower_bound_cycles
    figures = [
        Figure("Latency", time_text(simulation.latency_seconds), f"{cycles_text(latency)} cycles")
    ]
    if bound is None:
        figures.append(Figure("Lower bound", "not known", "no plan of this chip is at hand"))
    else:
        gap = (latency - bound) / latency if latency else 0.0
        figures.append(
            Figure(
                "Lower bound",
                time_text(bound / simulation.spec.clock_hz),
                f"{cycles_text(bound)} cycles: no plan searched can be faster by the cost model;"
                f" gap {percent_text(gap)} of the latency",
            )
        )
    if cost is None:
        figures.append(Figure("Cost model", "not known", "no plan says what it expected"))
    else:
        away = (latency - cost) / cost if cost else 0.0
        figures.append(
            Figure(
                "Cost model",
                time_text(cost / simulation.spec.clock_hz),
                f"{cycles_text(cost)} cycles; simulated {away:+.1%}".replace("%", " %"),
            )
        )
    figures.append(
        Figure(
            "Utilisation",
            percent_text(simulation.utilisation),
            "share of the latency that the average core computes; 100 % if all cores compute"
            " at all times",
        )
    )
    return tuple(figures)


def _memory_figure(simulation: Simulation) -> Figure:
    limit = simulation.spec.usable_bytes
    peak, available = size_texts(simulation.peak_core_bytes, limit)
    share = simulation.peak_core_bytes / limit if limit else 0.0
    setter = shown(simulation.peak_operator)
    return Figure(
        "Peak memory",
        peak,
        f"{percent_text(share)} of {available} per core" + (f", set by {setter}" if setter else ""),
    )


def _transfer_figures(simulation: Simulation) -> tuple[Figure, ...]:
    rate = simulation.achieved_bytes_per_second
    return (
        Figure(
            "Transfers",
            percent_text(simulation.transfer_share),
            f"share of the latency in which data move between cores, syncs included; a core"
            f" receives {rate / 1e9:.2f} GB/s meanwhile",
        ),
    )


def _estimates(simulation: Simulation, plan: ModelPlan | None) -> tuple[str, ...]:
    """What the figures rest on, the least certain included."""
    kernels = confidence(plan) if plan is not None else {}
    families = [f"Kernel {name}: {text}." for name, text in kernels.items()]
    notes = [*simulation.notes, *simulation.spec.notes]
    warnings = plan.graph.warnings if plan is not None else ()
    return (
        "All times are simulated, not measured.",
        *families,
        *(shown(note, 400) for note in notes),
        *(shown(f"warning: {warning}", 400) for warning in warnings),
    )


def _merged(without_phases: int) -> tuple[str, ...]:
    """What the page leaves out to stay small; nothing of most models."""
    if not without_phases:
        return ()
    noun = "section shows" if without_phases == 1 else "sections show"
    return (
        f"{without_phases:,} {noun} parts without single phases: the page holds the"
        f" {MOST_PHASES:,} phases that take longest.",
    )
