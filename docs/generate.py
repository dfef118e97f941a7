"""Writes what the documents say of operators, models and program files from t10c itself.

    python docs/generate.py           rewrite docs/operators.md, docs/*.schema.json, the example in
                                      docs/program.md, and the tables in README.md, docs/reports.md,
                                      docs/sweep.md
    python docs/generate.py --check   exit 1 if they are not current

The figures depend on the version of onnx, which the page names.
"""

import argparse
import json
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto, TensorProto

import t10c
from t10c.errors import T10cError
from t10c.ir.graph import NodeClass
from t10c.report.operators import catalogue_markdown
from t10c.report.program import program_lines
from t10c.sweep.table import columns
from t10c.zoo import build_model, list_recipes
from t10c.zoo.families import FAMILIES
from t10c.zoo.request import Phase

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "operators.md"
SCHEMA = ROOT / "docs" / "program.schema.json"
SIMULATION_SCHEMA = ROOT / "docs" / "simulation.schema.json"
FRONT_SCHEMA = ROOT / "docs" / "front.schema.json"
COMPARISON_SCHEMA = ROOT / "docs" / "comparison.schema.json"
PROGRAMS = ROOT / "docs" / "program.md"
REPORTS = ROOT / "docs" / "reports.md"
SWEEPS = ROOT / "docs" / "sweep.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- coverage: make docs -->\n", "<!-- end of coverage -->\n"
EXAMPLE, EXAMPLE_END = "<!-- example: make docs -->\n", "<!-- end of example -->\n"
KEYS, KEYS_END = "<!-- keys: make docs -->\n", "<!-- end of keys -->\n"
COLUMNS, COLUMNS_END = "<!-- columns: make docs -->\n", "<!-- end of columns -->\n"
CORES = 16
_UNIFORM = t10c.ScheduleOptions(transitions="uniform")
"""Whether a case can be planned does not hang on the price of its transitions."""

_NODE = re.compile(r"^node '[^']*' \((\S+)\)")
"""A node at the beginning of a message, of which only the operator is of interest here."""

PHASES: tuple[Phase, ...] = ("prefill", "decode")

_NOT_NUMERIC = frozenset({TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.COMPLEX128})
_TRAINING = "ai.onnx.preview.training"


@dataclass(frozen=True, slots=True)
class Case:
    """A node case of onnx.backend.test."""

    name: str
    model: ModelProto


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case: why it was not planned ('' if it was), its nodes by class, reasons.

    `fallbacks` are (operator, reason) of its fallback nodes.
    """

    failure: str
    classes: Counter[NodeClass]
    fallbacks: tuple[tuple[str, str], ...] = ()


def numeric_cases() -> list[Case]:
    """The node cases whose inputs and outputs are tensors of real numbers, without training."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy, in the making of expected outputs
        cases = [Case(c.name, c.model) for c in collect_testcases(None) if c.model is not None]
    return [case for case in cases if _is_numeric(case.model)]


def _is_numeric(model: ModelProto) -> bool:
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    return all(
        value.type.WhichOneof("value") == "tensor_type"
        and value.type.tensor_type.elem_type not in _NOT_NUMERIC
        for value in values
    ) and all(node.domain != _TRAINING for node in model.graph.node)


def outcome(case: Case) -> Outcome:
    """Import and plan a case on a small chip."""
    try:
        graph = t10c.import_model(case.model.SerializeToString())
    except T10cError as error:
        return Outcome(_short(str(error)), Counter())
    plan = t10c.schedule_model(graph, _chip(), _UNIFORM, searcher=_search)
    failure = f"{plan.operator} does not fit" if isinstance(plan, t10c.DoesNotFit) else ""
    return Outcome(
        failure,
        Counter(node.node_class for node in graph.nodes),
        tuple((n.op_type, n.note) for n in graph.nodes if n.node_class is NodeClass.FALLBACK),
    )


@cache
def _chip() -> t10c.HardwareSpec:
    return t10c.load_spec("ipu-mk2", overrides=[f"cores.count={CORES}"])


def _search(problems: list[t10c.Problem]) -> list[t10c.Choices]:
    """Many cases are of the same sizes: each problem is searched once."""
    return [_choices(problem) for problem in problems]


@cache
def _choices(problem: t10c.Problem) -> t10c.Choices:
    return t10c.find_choices(problem, _chip(), t10c.SearchOptions(), uniform=True)


def _short(message: str) -> str:
    """The line of an error that says why."""
    lines = message.splitlines()
    return lines[1] if lines[0].startswith("unsupported operators") else lines[0]


def operators_page() -> str:
    """docs/operators.md."""
    cases = numeric_cases()
    outcomes = {case.name: outcome(case) for case in cases}
    failed = {name: o.failure for name, o in outcomes.items() if o.failure}
    planned = len(cases) - len(failed)
    catalogue = [e for e in t10c.operator_catalogue() if not e.domain.startswith("com.example")]
    lines = [
        "# Operators",
        "",
        f"Generated by `make docs` with onnx {onnx.__version__}, whose newest opset is"
        f" {onnx.defs.onnx_opset_version()}; t10c reads opset 7 and newer.",
        "`t10c ops` prints the same for the onnx that is installed.",
        "",
        *_CLASSES,
        "",
        "## Node cases of the standard",
        "",
        f"onnx.backend.test has {len(cases):,} node cases whose inputs and outputs are tensors of"
        f" real numbers (none of training).\nOf these {planned:,}"
        f" ({100 * planned / len(cases):.1f} %) import and plan on {CORES} cores.",
        "",
        *_failures(failed),
        "",
        *_fallbacks(outcomes),
        "",
        "## All operators",
        "",
        *catalogue_markdown(catalogue),
    ]
    return "\n".join(lines) + "\n"


_CLASSES = """\
The class is what a node of the operator becomes as a rule:

| class | meaning |
|---|---|
| planned | one or more tensor expressions, searched and placed |
| fused | never by itself: what joins the operator before it |
| layout-only | moves or renames elements; free, or a transition |
| folded | known before inference, or taken apart |
| fallback | no tensor expression: on one core, operands gathered there; an estimate, flagged |
| unsupported | an error that names the node |

A node whose operands are all known folds, whatever its operator. Operators of other domains can be
added by a package: [operators of your own](custom-operators.md).""".splitlines()


def _failures(failed: dict[str, str]) -> Iterator[str]:
    """The cases that are not planned, by reason."""
    yield "| not planned because | cases |"
    yield "|---|---|"
    grouped: dict[str, list[str]] = {}
    for name, reason in failed.items():
        grouped.setdefault(_NODE.sub(r"\1", reason), []).append(f"`{name}`")
    for reason, names in sorted(grouped.items()):
        yield f"| {_cell(reason)} | {', '.join(names)} |"


def _fallbacks(outcomes: dict[str, Outcome]) -> Iterator[str]:
    """Nodes of the cases that end as fallbacks, by operator and reason."""
    yield "Nodes of these cases that run whole on one core:"
    yield ""
    yield "| operator | nodes | reason |"
    yield "|---|---|---|"
    counts = Counter(pair for o in outcomes.values() for pair in o.fallbacks)
    for (operator, reason), count in sorted(counts.items()):
        yield f"| {operator} | {count} | {_cell(reason)} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def coverage_table() -> str:
    """The table of README.md: nodes of every benchmark model by class."""
    shown = [kind for kind in NodeClass if kind is not NodeClass.UNSUPPORTED]
    titles = " | ".join(kind.text for kind in shown)
    lines = [f"| model | nodes | {titles} |", "|---|" + "---:|" * (len(shown) + 1)]
    for recipe in list_recipes():
        decodes = FAMILIES[recipe.family].cache is not None
        for phase in PHASES if decodes else PHASES[:1]:
            model = build_model(recipe.name, phase=phase)
            graph = t10c.import_model(model.SerializeToString())
            counts = graph.node_counts()
            cells = " | ".join(f"{counts[kind.value]:,}" for kind in shown)
            title = f"{recipe.name}, {phase}" if decodes else recipe.name
            lines.append(f"| {title} | {len(graph.nodes):,} | {cells} |")
    return "\n".join(lines) + "\n"


def with_coverage(readme: str) -> str:
    """README.md with its table renewed."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{coverage_table()}\n{END}{after}"


def schema_text(schema: dict[str, Any]) -> str:
    """A JSON Schema in docs/."""
    return json.dumps(schema, indent=2) + "\n"


def program_example() -> str:
    """The section that docs/program.md shows: of the model that its commands build."""
    model = build_model("nerf", batch=2, seq=6, overrides={"layers": "3", "hidden": "32"})
    chip = t10c.load_spec("ipu-mk2", overrides=["cores.count=12", "cores.sram=9KiB"])
    plan = t10c.schedule_model(t10c.import_model(model.SerializeToString()), chip)
    assert isinstance(plan, t10c.ModelPlan), "the example fits"
    program = t10c.lower_plan(plan)
    chosen = [section for section in program.sections if section.name == "/layers.0/MatMul"]
    return "```text\n" + "\n".join(program_lines(program, chosen)) + "\n```\n"


def with_example(page: str) -> str:
    """docs/program.md with its example renewed."""
    before, _, rest = page.partition(EXAMPLE)
    _, _, after = rest.partition(EXAMPLE_END)
    return f"{before}{EXAMPLE}\n{program_example()}\n{EXAMPLE_END}{after}"


def keys_table() -> str:
    """The keys of simulation reports, from their JSON Schema."""
    schema = t10c.simulation_schema()
    operator = schema["$defs"]["OperatorReport"]
    lines = ["| key | is |", "|---|---|"]
    for prefix, shape in (("", schema), ("operators[].", operator)):
        for key, about in shape["properties"].items():
            if "description" in about:
                lines.append(f"| `{prefix}{key}` | {about['description']} |")
    return "\n".join(lines) + "\n"


def with_columns(page: str) -> str:
    """The page with the columns of a sweep's table, of which one stands for all overrides."""
    override = "*override*"
    about = {override: "a column per override: its value as the sweep file writes it"}
    rows = [
        f"| {c.name if c.name in about else f'`{c.name}`'} | {about.get(c.name, c.about)} |"
        for c in columns((override,), simulated=True)
    ]
    before, rest = page.split(COLUMNS)
    after = rest.split(COLUMNS_END)[1]
    table = "\n".join(["| column | is |", "|---|---|", *rows])
    return f"{before}{COLUMNS}\n{table}\n\n{COLUMNS_END}{after}"


def with_keys(page: str) -> str:
    """docs/reports.md with its table of keys renewed."""
    before, _, rest = page.partition(KEYS)
    _, _, after = rest.partition(KEYS_END)
    return f"{before}{KEYS}\n{keys_table()}\n{KEYS_END}{after}"


def main() -> int:
    """Write or check the documents; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write what documents say of operators.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if not current")
    check = parser.parse_args().check
    stale = []
    for path, text in (
        (SCHEMA, schema_text(t10c.program_schema())),
        (SIMULATION_SCHEMA, schema_text(t10c.simulation_schema())),
        (FRONT_SCHEMA, schema_text(t10c.front_schema())),
        (COMPARISON_SCHEMA, schema_text(t10c.comparison_schema())),
        (PROGRAMS, with_example(PROGRAMS.read_text(encoding="utf-8"))),
        (REPORTS, with_keys(REPORTS.read_text(encoding="utf-8"))),
        (SWEEPS, with_columns(SWEEPS.read_text(encoding="utf-8"))),
        (PAGE, operators_page()),
        (README, with_coverage(README.read_text(encoding="utf-8"))),
    ):
        current = path.read_text(encoding="utf-8") if path.exists() else ""
        if current != text:
            stale.append(path.name)
            if not check:
                path.write_text(text, encoding="utf-8")
    if check and stale:
        print(f"not current: {', '.join(stale)}; run make docs", file=sys.stderr)
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
