"""`t10c compare`: a model under compute-shift and under a baseline, side by side."""

from typing import TYPE_CHECKING

import click

from t10c.cli import options as shared
from t10c.cli.answer import DOES_NOT_FIT
from t10c.cli.caching import caching
from t10c.cli.group import examples
from t10c.cli.planning import PlanRequest, import_graph, plan_graph, planning_options

if TYPE_CHECKING:
    from t10c import (
        Cache,
        ComparedBatch,
        DoesNotFit,
        Graph,
        HardwareSpec,
        LargestBatch,
        ModelPlan,
        SideBySide,
    )
    from t10c.cli.progress import Progress

_ZOO = "zoo:"
_RUN = ("seq", "past", "phase")


@click.command(
    "compare",
    epilog=examples(
        "t10c compare net.onnx --hw ipu-mk2 --baseline vgm",
        "t10c compare net.onnx --hw ipu-mk2 --batches 1,2,4 --batch-dim N --max-batch 64",
        "t10c compare zoo:resnet-18 --hw ipu-mk2 --batches 1,8 --format markdown",
        "t10c compare zoo:opt-1.3b --zoo-set phase=decode --zoo-set layers=2 --hw ipu-mk2",
    ),
)
@planning_options
@click.option(
    "--baseline",
    type=click.Choice(["vgm"]),
    default="vgm",
    show_default=True,
    help="What to compare with: a virtual global memory.",
)
@click.option("--batches", metavar="N,N,...", help="Compare at these batch sizes.")
@click.option(
    "--batch-dim",
    metavar="NAME",
    default="batch",
    show_default=True,
    help="The symbolic dimension that --batches and --max-batch bind.",
)
@click.option(
    "--max-batch",
    type=click.IntRange(min=1),
    metavar="N",
    help="Search the largest batch up to N that fits, for both.",
)
@click.option(
    "--zoo-set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="For MODEL zoo:NAME: seq, past, phase, or a hyper-parameter; may be repeated.",
)
@click.option("--all", "every", is_flag=True, help="Every operator in the table, not the longest.")
@shared.report_options("table", "json", "csv", "markdown")
@shared.verbosity_options
def compare_command(
    request: PlanRequest,
    baseline: str,
    batches: str | None,
    batch_dim: str,
    max_batch: int | None,
    settings: tuple[str, ...],
    every: bool,
    form: str,
    output: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Plan MODEL for a chip with t10c and under a baseline, simulate both, and compare.

    MODEL is an ONNX file, - is standard input, or zoo:NAME, a model of the zoo. With --batches
    it is compared at several batch sizes. Exit 7: at no batch size do both fit.
    """
    from t10c.cli.output import check_writable, write_report
    from t10c.cli.progress import progress

    check_writable(output, request.model, request.hardware)
    sizes = read_batches(batches)
    with caching(request.cache_place, quiet, verbose) as cache, progress(quiet) as shown:
        run = _Run(request, batch_dim, settings, shown, cache)
        found = run.comparison(baseline, sizes, max_batch)
    write_report(form, quiet, output, _text(found, form, every))
    return 0 if any(not batch.misfits for batch in found.batches) else DOES_NOT_FIT


def read_batches(text: str | None) -> tuple[int | None, ...]:
    """`1,2,4` as numbers (UsageError); without a text the model's own batch, None."""
    from t10c.errors import UsageError

    if text is None:
        return (None,)
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 0 < int(part[:12]) < 2**31 for part in parts):
        raise UsageError(f"--batches {text[:60]}: write numbers of at least 1, e.g. 1,2,4")
    return tuple(dict.fromkeys(map(int, parts)))


def _text(found: "SideBySide", form: str, every: bool) -> str:
    from t10c import comparison_document
    from t10c.cli.output import json_text
    from t10c.report import comparison as report

    if form == "json":
        return json_text(comparison_document(found))
    if form == "csv":
        return report.comparison_csv(found)
    lines = (
        report.comparison_markdown(found)
        if form == "markdown"
        else report.comparison_lines(found, every)
    )
    return "\n".join(lines) + "\n"


class _Run:
    """One comparison: the model at its batch sizes, on one chip."""

    def __init__(
        self,
        request: PlanRequest,
        batch_dim: str,
        settings: tuple[str, ...],
        shown: "Progress",
        cache: "Cache",
    ) -> None:
        from t10c import load_spec
        from t10c.errors import UsageError

        self.request, self.batch_dim = request, batch_dim
        self.shown, self.cache = shown, cache
        self.spec: HardwareSpec = load_spec(request.hardware, request.all_overrides)
        self.data: bytes | None = None
        self.zoo = request.model.startswith(_ZOO)
        if self.zoo and (request.dims or request.shapes or request.values):
            raise UsageError(
                "--dim, --shape and --value are for files; use --zoo-set and --batches"
            )
        if settings and not self.zoo:
            raise UsageError("--zoo-set is for models of the zoo: name one as zoo:NAME")
        self.settings = dict(_setting(text) for text in settings)

    def comparison(
        self, baseline: str, sizes: tuple[int | None, ...], max_batch: int | None
    ) -> "SideBySide":
        """The model at all batch sizes, and the largest that fit, if asked for."""
        from t10c import SideBySide

        first = self._graph(sizes[0])
        batches = tuple(self._batch(size) for size in sizes)
        return SideBySide(
            model=first.name,
            hardware=self.spec.name,
            hardware_overrides=self.request.all_overrides,
            core_count=self.spec.core_count,
            core_bytes=self.spec.usable_bytes,
            clock_hz=self.spec.clock_hz,
            baseline=baseline,
            batches=batches,
            largest_batch=self._largest(max_batch) if max_batch is not None else None,
        )

    def _batch(self, size: int | None) -> "ComparedBatch":
        from t10c import DoesNotFit, compared_batch, plan_vgm, simulate_plan, simulate_vgm

        where = "" if size is None else f"batch {size}: "
        graph = self._graph(size)
        plan = self._plan(graph, where)
        self.shown.stage(f"{where}searching the baseline")
        other = plan_vgm(graph, self.spec)
        self.shown.stage(f"{where}simulating")
        ours = plan if isinstance(plan, DoesNotFit) else simulate_plan(plan)
        theirs = other if isinstance(other, DoesNotFit) else simulate_vgm(other)
        return compared_batch(size, ours, theirs)

    def _plan(self, graph: "Graph", where: str) -> "ModelPlan | DoesNotFit":
        self.shown.stage(f"{where}searching")
        return plan_graph(graph, self.spec, self.request, self.shown, self.cache)

    def _largest(self, most: int) -> "LargestBatch":
        from t10c import DoesNotFit, LargestBatch, largest_fitting, plan_vgm

        def planned(size: int) -> bool:
            where = f"batch {size}: "
            return not isinstance(self._plan(self._graph(size), where), DoesNotFit)

        def on_baseline(size: int) -> bool:
            self.shown.stage(f"batch {size}: searching the baseline")
            return not isinstance(plan_vgm(self._graph(size), self.spec), DoesNotFit)

        ours, theirs = largest_fitting(planned, most), largest_fitting(on_baseline, most)
        return LargestBatch(most, ours, theirs)

    def _graph(self, size: int | None) -> "Graph":
        """The model at a batch size; of standard input the bytes are kept."""
        from t10c import import_model
        from t10c.files import MODEL_WANTED

        request = self.request
        if self.zoo:
            return import_model(self._zoo_model(size))
        if request.model == "-" and self.data is None:
            self.data = shared.read_bytes("-", MODEL_WANTED)
        bound = () if size is None else (f"{self.batch_dim}={size}",)
        dims = (*request.dims, *bound)
        return import_graph(request.model, dims, request.shapes, request.values, self.data)

    def _zoo_model(self, size: int | None) -> bytes:
        from t10c import build_model
        from t10c.errors import UsageError

        given = dict(self.settings)
        seq, past, phase = (given.pop(name, None) for name in _RUN)
        for name, value in (("seq", seq), ("past", past)):
            if value is not None and not value.isdecimal():
                raise UsageError(f"--zoo-set {name}={value[:40]}: write a number of positions")
        if phase not in (None, "prefill", "decode"):
            raise UsageError(f"--zoo-set phase={phase[:40]}: write prefill or decode")
        data: bytes = build_model(
            self.request.model.removeprefix(_ZOO),
            batch=size,
            seq=int(seq) if seq is not None else None,
            past=int(past) if past is not None else None,
            phase="decode" if phase == "decode" else "prefill",
            overrides=given,
        ).SerializeToString()
        return data


def _setting(text: str) -> tuple[str, str]:
    from t10c.errors import UsageError

    name, equals, value = (part.strip() for part in text.partition("="))
    if not (equals and name and value):
        raise UsageError(f"--zoo-set takes KEY=VALUE, for instance seq=128, not '{text[:60]}'")
    return name, value
