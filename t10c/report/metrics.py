"""Values of metrics as people read them."""

from t10c.gates.limits import Outcome
from t10c.gates.metrics import Metric
from t10c.report.text import cycles_text, percent_text, size_text, time_text, wrapped


def metric_text(metric: Metric, value: float | None) -> str:
    """A value with its unit; a dash where it is not known."""
    if value is None:
        return "-"
    match metric.unit:
        case "cycles":
            return f"{cycles_text(value)} cycles"
        case "ms":
            return time_text(value / 1e3)
        case "bytes":
            return size_text(value)
        case "bytes_per_second":
            return f"{value / 1e9:.3f} GB/s"
        case "share":
            return percent_text(value)


def metric_texts(metric: Metric, *values: float | None) -> list[str]:
    """Values that are compared: rounded, or exact if rounding made different ones equal."""
    texts = [metric_text(metric, value) for value in values]
    if len(set(texts)) == len(set(values)):
        return texts
    return [
        "-" if value is None else f"{value:.10g} {metric.unit.replace('_', ' ')}"
        for value in values
    ]


def change_texts(metric: Metric, before: float | None, after: float | None) -> tuple[str, str, str]:
    """Both values, and the change: relative, but of shares in percentage points."""
    old, new = metric_texts(metric, before, after)
    return old, new, _change(metric, before, after)


def _change(metric: Metric, before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return ""
    if before == after:
        return "same"
    if metric.unit == "share":
        return f"{100 * (after - before):+.2f} points"
    return f"{100 * (after - before) / before:+.2f} %" if before else "new"


def outcome_text(outcome: Outcome) -> str:
    """A limit, what was found and what is allowed: all that a build log has to say."""
    values = [outcome.value, outcome.allowed]
    if outcome.before is not None:
        values.append(outcome.before)
    value, allowed, *before = metric_texts(outcome.metric, *values)
    was = f" (was {before[0]})" if before else ""
    verdict = "holds" if outcome.holds else "VIOLATED"
    return (
        f"{outcome.limit}: {outcome.metric.name} is {value}{was},"
        f" allowed {outcome.bound} {allowed}: {verdict}"
    )


def outcome_lines(outcomes: tuple[Outcome, ...]) -> list[str]:
    """Every limit, violated ones first."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.holds)
    return [line for outcome in ordered for line in wrapped("limit", outcome_text(outcome))]


def outcome_document(outcome: Outcome) -> dict[str, object]:
    """A limit and how it was met, as JSON values in the metric's unit."""
    return {
        "limit": outcome.limit,
        "metric": outcome.metric.name,
        "bound": outcome.bound,
        "allowed": outcome.allowed,
        "before": outcome.before,
        "value": outcome.value,
        "holds": outcome.holds,
    }
