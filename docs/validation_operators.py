"""How far operators are from their cost model: the distribution, and the causes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from validation_cases import EFFECTS, Model, Record, records

NEAR = 0.01
"""Relative error within which cost model and simulator are said to agree."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Equal operators, `count` in all: simulated and predicted cycles, and what lies between.

    `padded` is None of copies.
    """

    count: int
    kernel: str
    padded: bool | None
    simulated: float
    predicted: float
    effects: tuple[float, ...]

    @property
    def error(self) -> float:
        """The cost model's relative error."""
        return abs(self.predicted - self.simulated) / self.simulated if self.simulated else 0.0

    @property
    def unexplained(self) -> float:
        """Cycles of the difference that no effect names."""
        return abs(self.simulated - self.predicted - sum(self.effects))

    @property
    def cause(self) -> str:
        """The effect that most of the difference is due to."""
        sizes = [abs(effect) for effect in self.effects]
        return EFFECTS[sizes.index(max(sizes))]


def operator_runs(models: Iterable[Model], known: Mapping[str, Record]) -> Iterator[Runs]:
    """The operators of all cases."""
    for _, record in records(models, known):
        for count, kernel, padded, simulated, predicted, *effects in record.get("operators", ()):
            even = None if padded is None else bool(padded)
            yield Runs(count, kernel, even, simulated, predicted, tuple(effects))


def percentile(runs: Sequence[Runs], share: float) -> float:
    """The least error that this share of the operators does not exceed."""
    rest = share * sum(run.count for run in runs)
    for run in sorted(runs, key=lambda each: each.error):
        rest -= run.count
        if rest <= 0:
            return run.error
    return 0.0


def near_share(runs: Sequence[Runs]) -> float:
    """Share of the operators whose error is at most `NEAR`."""
    near = sum(run.count for run in runs if run.error <= NEAR)
    return near / sum(run.count for run in runs)


def error_table(runs: Sequence[Runs]) -> Iterator[str]:
    """Distribution of the error by kernel family."""
    yield "| kernel | operators | median | 90th | 99th | largest | within 1 % |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    kernels = sorted({run.kernel for run in runs})
    groups = {kernel: [run for run in runs if run.kernel == kernel] for kernel in kernels}
    for name, group in [*groups.items(), ("**all**", list(runs))]:
        if group:
            count = sum(run.count for run in group)
            errors = [percentile(group, share) for share in (0.5, 0.9, 0.99, 1)]
            cells = " | ".join(percent(e) for e in (*errors, near_share(group)))
            yield f"| {name} | {count:,} | {cells} |"


def cause_table(runs: Sequence[Runs]) -> Iterator[str]:
    """What lies between cost model and simulator, by effect."""
    total = sum(run.count * run.simulated for run in runs)
    far = [run for run in runs if run.error > NEAR]
    yield "| effect | of all simulated cycles | most in one operator | main cause beyond 1 % |"
    yield "|---|---:|---:|---:|"
    for number, name in enumerate(EFFECTS):
        cycles = sum(run.count * run.effects[number] for run in runs)
        most = max((run.effects[number] for run in runs), key=abs, default=0.0)
        count = sum(run.count for run in far if run.cause == name)
        yield f"| {name} | {signed(cycles / total)} | {most:+,.0f} cycles | {count:,} |"
    between = sum(run.count * (run.simulated - run.predicted) for run in runs)
    rest = max(run.unexplained for run in runs)
    count = sum(run.count for run in far)
    yield f"| **all** | {signed(between / total)} | | {count:,} |"
    yield f"| not named | | {rest:,.2f} cycles | 0 |"


def even_table(runs: Sequence[Runs]) -> Iterator[str]:
    """Operators by whether all their blocks and tiles are full."""
    yield "| | operators | within 1 % | within 1 % but for contention | largest error besides |"
    yield "|---|---:|---:|---:|---:|"
    for name, padded in (("all blocks full", False), ("some short", True), ("copies", None)):
        group = [run for run in runs if run.padded is padded]
        if not group:
            continue
        calm = [without_contention(run) for run in group]
        count = sum(run.count for run in group)
        cells = " | ".join(map(percent, (near_share(group), near_share(calm), percentile(calm, 1))))
        yield f"| {name} | {count:,} | {cells} |"


def without_contention(run: Runs) -> Runs:
    """The same operator, had there been no contention."""
    contention = run.effects[EFFECTS.index("contention")]
    effects = tuple(
        0.0 if n == "contention" else e for n, e in zip(EFFECTS, run.effects, strict=True)
    )
    simulated = run.simulated - contention
    return Runs(run.count, run.kernel, run.padded, simulated, run.predicted, effects)


def percent(share: float) -> str:
    """A share, 0 to 1, as a percentage."""
    return f"{100 * share:.2f} %"


def signed(share: float) -> str:
    """A share as a percentage with its sign."""
    return f"{100 * share:+.2f} %"
