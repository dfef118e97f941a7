"""`t10c compile --objective pareto`: latency against memory per core, instead of one plan."""

from typing import TYPE_CHECKING

from t10c.cli.answer import fresh_answer, report_misfit
from t10c.cli.clock import clock
from t10c.cli.planning import PlanRequest, import_graph, searching
from t10c.cli.progress import Progress

if TYPE_CHECKING:
    from t10c import Cache, DoesNotFit, ModelFront

DONE, INTERRUPTED = 0, 130


def find_front(
    request: PlanRequest, points: int, shown: Progress, cache: "Cache"
) -> "tuple[ModelFront | DoesNotFit, bool]":
    """The front, or why the model does not fit, and whether Ctrl-C ended the work.

    TimeLimitError if the limit passes before there is a point.
    """
    from t10c import load_spec, memory_front

    spec = load_spec(request.hardware, request.all_overrides)
    shown.stage("reading the model")
    with clock(request.time_limit, request.begun_seconds, shown, keep_best=True) as limit:
        graph = import_graph(request.model, request.dims, request.shapes, request.values)
        options, work, fronts = searching(graph, spec, request, shown, cache)
        found = memory_front(
            graph, spec, options, points, work, request.all_overrides, fronts, limit
        )
    return found, limit.interrupted


def report_front(
    found: "ModelFront | DoesNotFit", interrupted: bool, output: str | None, form: str, quiet: bool
) -> int:
    """Write and print a front; returns the exit code."""
    from t10c import ModelFront, front_document
    from t10c.cli.output import emit, json_text, print_result, write_atomic
    from t10c.report.model_front import front_csv, front_lines

    err = output == "-"
    if not isinstance(found, ModelFront):
        return report_misfit(fresh_answer(found), form, quiet, err)
    if output is not None:
        write_atomic(output, json_text(front_document(found)).encode())
    if form == "csv":
        emit(front_csv(found).removesuffix("\n"), err)
    else:
        print_result(form, quiet, lambda: front_document(found), lambda: front_lines(found), err)
    if interrupted:
        emit("interrupted; the result is the best so far", err=True)
    return INTERRUPTED if interrupted else DONE
