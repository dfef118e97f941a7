"""What planning a model has said, now or earlier: a report, and a plan unless it does not fit."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from t10c.errors import DoesNotFitError

if TYPE_CHECKING:
    from t10c import CachedAnswers, DoesNotFit, ModelPlan

DOES_NOT_FIT = DoesNotFitError.exit_code
"""Exit code of a model for which there is no room."""


@dataclass(frozen=True)
class Answer:
    """The report as JSON values and lines, `details` for `-v`, and the plan where there is one.

    Of a plan found in the cache only the file is at hand; it is read when asked for. `interrupted`
    says that Ctrl-C was pressed while the plan was being improved.
    """

    fits: bool
    document: dict[str, Any]
    lines: list[str]
    details: list[str]
    planned: "ModelPlan | None" = None
    plan_file: bytes | None = None
    interrupted: bool = False

    def file(self) -> bytes:
        """The plan file's bytes."""
        if self.plan_file is not None:
            return self.plan_file
        from t10c import dump_plan

        assert self.planned is not None, "what fits has a plan"
        return dump_plan(self.planned)

    def plan(self) -> "ModelPlan":
        """The plan as a value."""
        if self.planned is not None:
            return self.planned
        from t10c import load_plan

        assert self.plan_file is not None, "what fits has a plan"
        plan = load_plan(self.plan_file, "the cache")
        return replace(plan, recalled_problems=len(plan.problems))


def fresh_answer(value: "ModelPlan | DoesNotFit") -> Answer:
    """The answer that a plan is, or a misfit."""
    from t10c import DoesNotFit
    from t10c.report import summary

    if isinstance(value, DoesNotFit):
        return Answer(False, summary.misfit_document(value), summary.misfit_lines(value), [])
    document, lines = summary.plan_document(value), summary.plan_lines(value)
    return Answer(True, document, lines, summary.search_lines(value), value)


def keep_answer(answers: "CachedAnswers", answer: Answer) -> Answer:
    """Keep an answer, its report as it will read when it comes from the cache.

    A plan is not kept if a search was stopped by anything but the number of candidates, or the
    choice was cut short. Returns the answer, with the plan's file where that has been made.
    """
    kept, data = answer, None
    if answer.planned is not None:
        if answer.planned.joint is not None and answer.planned.joint.truncated:
            return answer
        most = answer.planned.options.search.max_candidates
        records = [problem.search for problem in answer.planned.problems]
        if not all(record.exhausted or record.legal_plans >= most for record in records):
            return answer
        data = answer.file()
        plan = replace(
            answer.planned, search_cpu_seconds=0.0, recalled_problems=len(answer.planned.problems)
        )
        kept = fresh_answer(plan)
    report = {
        "fits": kept.fits,
        "document": kept.document,
        "lines": kept.lines,
        "details": kept.details,
    }
    answers.keep(report, data)
    return replace(answer, plan_file=data)


def recalled_answer(answers: "CachedAnswers") -> Answer | None:
    """The answer that was kept, if there is one."""
    report = answers.report()
    if report is None:
        return None
    plan = answers.plan() if report["fits"] else None
    if report["fits"] and plan is None:
        return None
    return Answer(**report, plan_file=plan)


def report_misfit(answer: Answer, form: str, quiet: bool, err: bool = False) -> int:
    """Say why a model does not fit; returns the exit code."""
    from t10c.cli.output import emit, print_result

    print_result(form, quiet, lambda: answer.document, lambda: answer.lines, err)
    if quiet:
        emit(answer.lines[0], err=True)
    return DOES_NOT_FIT
