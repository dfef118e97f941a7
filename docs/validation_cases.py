"""What docs/validation.md is about: models, chips and batches, and how one of them is measured."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import t10c
from t10c.baselines.comparison import figures_of
from t10c.ir.plan import axis_steps, block_lengths, piece_axis_lengths, tile_lengths
from t10c.simulate.result import Effects

CHIP, POD, MESH, WAFER = "ipu-mk2", "ipu-pod4", "tenstorrent-wormhole-like", "wse2"
EFFECTS = tuple(Effects().as_dict())
"""Columns of a row of operators behind count, kernel, padded, simulated and predicted cycles."""

Phase = Literal["prefill", "decode"]
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the zoo as it is measured, at several batch sizes on one chip.

    `settings` are what `--zoo-set` takes besides the phase. Without `baseline` only compute-shift
    is measured. `published` says that T10's authors published figures of its family.
    """

    name: str
    batches: tuple[int, ...]
    hardware: str = CHIP
    phase: Phase = "prefill"
    settings: tuple[tuple[str, str], ...] = ()
    published: bool = False
    baseline: bool = True

    @property
    def zoo_settings(self) -> tuple[str, ...]:
        """What `t10c compare` wants as `--zoo-set`."""
        phase = () if self.phase == "prefill" else (f"phase={self.phase}",)
        return (*phase, *(f"{key}={value}" for key, value in self.settings))

    @property
    def label(self) -> str:
        """How tables name it."""
        said = [self.phase] if self.phase == "decode" else []
        return ", ".join([self.name, *said, *(f"{k} {v}" for k, v in self.settings)])

    def command(self, batches: str = "") -> str:
        """The command that prints the same figures."""
        words = ["t10c compare", f"zoo:{self.name}", *(f"--zoo-set {s}" for s in self.zoo_settings)]
        sizes = batches or ",".join(map(str, self.batches))
        return " ".join([*words, f"--hw {self.hardware}", f"--batches {sizes}"])


def _set(**settings: object) -> tuple[tuple[str, str], ...]:
    return tuple((key, str(value)) for key, value in settings.items())


_FEW, _MANY = (1, 2, 4, 8), (1, 4, 16, 64)
_SMALL = (1, 2, 3, 4)
"""Of large images, whose plans take minutes to search."""

_SHORT = {"seq": 128}
_BRIEF = {"seq": 32}
_CACHED = {"past": 512}
_CUT = {"vocabulary": 1024}
"""Embedding and head of a large vocabulary would fill a chip without any layer between them."""

COMPARED = (
    Model("nerf", (64, 256, 1024, 2048), published=True),
    Model("vit-base", _FEW, published=True),
    Model("bert-large", _FEW, published=True),
    Model("resnet-18", _FEW, published=True),
    Model("opt-1.3b", _FEW, settings=_set(layers=4, **_SHORT), published=True),
    Model("opt-1.3b", _MANY, CHIP, "decode", _set(layers=4, **_CACHED), published=True),
    Model("opt-13b", _FEW, settings=_set(layers=1, **_CUT, **_SHORT), published=True),
    Model("opt-13b", _MANY, CHIP, "decode", _set(layers=1, **_CUT, **_CACHED), published=True),
    Model("llama-2-7b", _FEW, settings=_set(layers=1, **_CUT, **_SHORT), published=True),
    Model("llama-2-7b", _MANY, CHIP, "decode", _set(layers=1, **_CUT, **_CACHED), published=True),
    Model("llama-2-13b", _FEW, settings=_set(layers=1, **_CUT, **_SHORT), published=True),
    Model("llama-2-13b", _MANY, CHIP, "decode", _set(layers=1, **_CUT, **_CACHED), published=True),
    Model("retnet-1.3b", _FEW, settings=_set(layers=4, **_SHORT), published=True),
    Model("retnet-1.3b", _MANY, CHIP, "decode", _set(layers=4), published=True),
    Model("whisper-tiny-decoder", _FEW),
    Model("whisper-tiny-decoder", _MANY, CHIP, "decode"),
    Model("whisper-tiny-encoder", _FEW),
    Model("mamba-2.8b", _FEW, settings=_set(seq=32)),
    Model("mamba-2.8b", _MANY, CHIP, "decode"),
    Model("llama-3-8b", _FEW, settings=_set(layers=1, **_CUT, **_SHORT)),
    Model("llama-3-8b", _MANY, CHIP, "decode", _set(layers=1, **_CUT, **_CACHED)),
    Model("sd-1.5-unet-block", _SMALL),
    Model("mobilenet-v2", _SMALL),
    Model("resnet-50", _SMALL),
    Model("lstm-ptb-large", (1, 4, 8, 20)),
    Model("lstm-ptb-large", (1, 4, 8, 20), CHIP, "decode"),
    Model("opt-30b", _FEW, POD, settings=_set(layers=2, **_CUT, **_BRIEF)),
    Model("opt-30b", _MANY, POD, "decode", _set(layers=2, **_CUT, **_CACHED)),
    Model("gemma-2-27b", _FEW, POD, settings=_set(layers=2, **_CUT, **_BRIEF)),
    Model("gemma-2-27b", _MANY, POD, "decode", _set(layers=2, **_CUT, **_CACHED)),
    Model("llama-2-70b", _FEW, POD, settings=_set(layers=1, **_CUT, **_BRIEF)),
    Model("llama-2-70b", _MANY, POD, "decode", _set(layers=1, **_CUT, **_CACHED)),
    Model("mixtral-8x7b", _FEW, POD, settings=_set(layers=1, **_CUT, **_BRIEF)),
    Model("mixtral-8x7b", _MANY, POD, "decode", _set(layers=1, **_CUT, **_CACHED)),
)
"""Models under compute-shift and under the baseline."""

ON_MESHES = (
    Model("nerf", (64, 256), MESH, baseline=False),
    Model("resnet-18", (1,), MESH, baseline=False),
    Model("mobilenet-v2", (1,), MESH, baseline=False),
    Model("whisper-tiny-encoder", (1,), MESH, baseline=False),
    Model("vit-base", (1,), MESH, settings=_set(layers=4), baseline=False),
    Model("bert-large", (1,), MESH, settings=_set(layers=2, vocabulary=1024), baseline=False),
    Model("nerf", (64,), WAFER, baseline=False),
)
"""Models on chips with links that the cost model does not know."""


@dataclass(frozen=True, slots=True)
class Case:
    """A model at one batch size."""

    model: Model
    batch: int

    @property
    def key(self) -> str:
        """Its name in validation.json."""
        model = self.model
        return " ".join([model.name, model.hardware, *model.zoo_settings, f"batch={self.batch}"])


def all_cases() -> Iterator[Case]:
    """Every case; the smallest batches of all models first, so that all are known early."""
    models = (*COMPARED, *ON_MESHES)
    for turn in range(max(len(model.batches) for model in models)):
        for model in models:
            if turn < len(model.batches):
                yield Case(model, model.batches[turn])


def records(models: Iterable[Model], known: Mapping[str, Record]) -> Iterator[tuple[Case, Record]]:
    """Cases of the models that were measured."""
    for model in models:
        for batch in model.batches:
            case = Case(model, batch)
            if case.key in known:
                yield case, known[case.key]


def measure(case: Case) -> Record:
    """Figures of a case as JSON values: of compute-shift, its operators, and of the baseline."""
    model = case.model
    spec = t10c.load_spec(model.hardware)
    given = dict(model.settings)
    seq, past = (int(given.pop(name)) if name in given else None for name in ("seq", "past"))
    built = t10c.build_model(
        model.name, batch=case.batch, seq=seq, past=past, phase=model.phase, overrides=given
    )
    graph = t10c.import_model(built.SerializeToString())
    plan = t10c.schedule_model(graph, spec)
    record: Record = {"key": case.key}
    if isinstance(plan, t10c.DoesNotFit):
        record["compute_shift"] = _misfit(plan)
    else:
        simulation = t10c.simulate_plan(plan)
        record["compute_shift"] = _figures(simulation)
        record["operators"] = operator_rows(plan, simulation)
    if model.baseline:
        record["baseline"] = _baseline(graph, spec)
    return record


def _baseline(graph: t10c.Graph, spec: t10c.HardwareSpec) -> Record:
    plan = t10c.plan_vgm(graph, spec)
    if isinstance(plan, t10c.DoesNotFit):
        return _misfit(plan)
    return _figures(t10c.simulate_vgm(plan))


def _figures(simulation: t10c.Simulation) -> Record:
    figures = figures_of(simulation)
    contention = sum(operator.effects.contention for operator in simulation.operators)
    return {
        "latency_cycles": round(figures.latency_cycles, 2),
        "latency_ms": round(simulation.latency_seconds * 1e3, 6),
        "cost_model_cycles": round(simulation.cost_model_cycles or 0.0, 2),
        "transfer_share": round(figures.transfer_share, 5),
        "sync_share": round(simulation.breakdown.sync / figures.latency_cycles, 5),
        "contention_share": round(contention / figures.latency_cycles, 5),
        "achieved_bytes_per_second": round(figures.achieved_bytes_per_second),
        "peak_core_bytes": figures.peak_core_bytes,
    }


def _misfit(found: t10c.DoesNotFit) -> Record:
    return {
        "misfit": found.operator.strip("()"),
        "demanded_bytes": found.demanded_bytes,
        "available_bytes": found.available_bytes,
    }


def operator_rows(plan: t10c.ModelPlan, simulation: t10c.Simulation) -> list[list[Any]]:
    """Equal operators together: count, kernel, padded, simulated, predicted, and the effects.

    Cycles. `padded` is that of `padded_operators`, None of copies.
    """
    padded = padded_operators(plan)
    rows: Counter[tuple[Any, ...]] = Counter()
    for operator in simulation.operators:
        effects = [round(value, 2) for value in operator.effects.as_dict().values()]
        assert operator.cost_model_cycles is not None
        cycles = (round(operator.cycles, 2), round(operator.cost_model_cycles, 2))
        rows[operator.kernel, padded.get(operator.name), *cycles, *effects] += 1
    return [[count, *row] for row, count in rows.items()]


def padded_operators(plan: t10c.ModelPlan) -> Mapping[str, int]:
    """Of every planned operator whether pieces that should be equal differ in length.

    Such are the blocks of an axis, the tiles of a block, and the pieces of an idle weight.
    """
    return {operator.name: int(_padded(plan, operator)) for operator in plan.operators}


def _padded(plan: t10c.ModelPlan, operator: t10c.OperatorPlan) -> bool:
    expression = plan.problems[operator.problem].expression
    cuts = zip(
        expression.axes,
        expression.lengths,
        operator.plan.split,
        block_lengths(expression, operator.plan),
        tile_lengths(expression, operator.plan),
        strict=True,
    )
    uneven = [
        split * block != length or axis_steps(operator.plan, axis.name) * tile != block
        for axis, length, split, block, tile in cuts
    ]
    operands = {operand.name: operand for operand in expression.operands}
    for weight in operator.idle:
        lengths = piece_axis_lengths(expression, operator.plan, operands[weight.operand])
        uneven += [bool(lengths[axis] % factor) for axis, factor in weight.cut.factors]
    return any(uneven)
