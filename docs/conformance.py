"""Runs the node cases of onnx.backend.test on simulated cores, and writes docs/conformance.md.

    python docs/conformance.py           rewrite docs/conformance.md
    python docs/conformance.py --check   exit 1 if it is not current

The figures depend on the versions of onnx and ONNX Runtime, which the page names.
"""

import argparse
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.runner import Runner

import t10c
from t10c.backend import CORES, PRESET, T10cBackend, T10cBackendRep
from t10c.errors import T10cError

PAGE = Path(__file__).resolve().parent / "conformance.md"
FAILING = "## Failing cases"

How = Literal["planned", "layout only", "folded", "fallback"]
HOW: tuple[How, ...] = ("planned", "layout only", "folded", "fallback")

_ELEMENT_TYPES = frozenset(
    {
        TensorProto.FLOAT, TensorProto.BOOL,
        TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64,
        TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64,
    }
)  # fmt: skip
_TEXT = TensorProto.STRING
_TRAINING, _MACHINE_LEARNING = "ai.onnx.preview.training", "ai.onnx.ml"
_IMAGES = "ImageDecoder"
_CONTROL = frozenset({"If", "Loop", "Scan", "SequenceMap"})
_RANDOM = frozenset(
    {
        *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
        *("Multinomial", "Bernoulli"),
    }
)


def excluded_because(model: ModelProto) -> str:
    """Why a case is not within the rule; '' if it is."""
    kinds = {value.type.WhichOneof("value") for value in (*model.graph.input, *model.graph.output)}
    types = {
        value.type.tensor_type.elem_type
        for value in (*model.graph.input, *model.graph.output, *model.graph.value_info)
        if value.type.WhichOneof("value") == "tensor_type"
    }
    nodes = list(_nodes(model.graph))
    operators = {node.op_type for node in nodes}
    domains = {node.domain for node in nodes}
    if _TEXT in types:
        return "strings"
    if kinds - {"tensor_type"}:
        return "sequences and optionals"
    if _MACHINE_LEARNING in domains:
        return "operators of ai.onnx.ml"
    if _TRAINING in domains or any(map(_trains, nodes)):
        return "training"
    if operators & _CONTROL:
        return "control flow"
    if operators & _RANDOM:
        return "random numbers"
    if _IMAGES in operators:
        return "compressed images"
    return "" if types <= _ELEMENT_TYPES else "other element types"


def _trains(node: NodeProto) -> bool:
    """Whether a node works in training mode."""
    if node.op_type == "Dropout":
        return len(node.input) > 2 and bool(node.input[2])
    return any(a.name == "training_mode" and a.i for a in node.attribute)


def _nodes(graph: onnx.GraphProto) -> Iterator[NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)


@cache
def all_cases() -> tuple[TestCase, ...]:
    """Every node case that has a model."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy, in the making of expected outputs
        return tuple(case for case in collect_testcases(None) if case.model is not None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case: why it failed ('' if it passed), and how it ran.

    `fixed` says that inputs whose values decide shapes or plans were made constants.
    """

    failure: str
    how: How
    fixed: bool


def outcome(case: TestCase) -> Outcome:
    """Run a case on the simulated cores, compared as onnx's own runner does."""
    rep: T10cBackendRep | None = None
    try:
        rep = T10cBackend.prepare(case.model)
        _compare(case, rep.run)
    except Exception as error:
        # one of t10c's own errors, other numbers, or a bug of t10c: the page tells
        return Outcome(_reason(error), _how(rep), _fixed(rep))
    return Outcome("", _how(rep), _fixed(rep))


def _compare(case: TestCase, run: Callable[[list[Any]], Sequence[Any]]) -> None:
    """Raise AssertionError where outputs are not those that the case expects."""
    for inputs, outputs in case.data_sets:
        found = run([_array(value) for value in inputs])
        wanted = [_array(value) for value in outputs]
        Runner.assert_similar_outputs(wanted, found, rtol=case.rtol, atol=case.atol)


def _array(value: Any) -> Any:
    """A tensor of a case as an array; sequences and what is absent as they are."""
    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.generic) else value


def _how(rep: T10cBackendRep | None) -> How:
    if rep is None or rep.prepared is None:
        return "folded"
    graph = rep.prepared.plan.graph
    kernels = {operator.expression.kernel for operator in graph.planned}
    if "fallback" in kernels:
        return "fallback"
    if kernels:
        return "planned"
    return "layout only" if graph.operators else "folded"


def _fixed(rep: T10cBackendRep | None) -> bool:
    return rep is not None and rep.prepared is not None and bool(rep.prepared.fixed)


def _reason(error: Exception) -> str:
    """One line that says why a case failed."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, T10cError):
        return lines[0]
    if not isinstance(error, AssertionError):
        return f"{type(error).__name__}: {lines[0] if lines else ''}"
    apart = next((line for line in lines if line.startswith("Mismatched elements")), "")
    apart = apart.removeprefix("Mismatched elements: ")
    return f"other numbers than the case: {apart}" if apart else " ".join(lines[:3])[:160]


def runs_in_onnxruntime(case: TestCase) -> bool:
    """Whether ONNX Runtime passes a case."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            case.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        names = [value.name for value in session.get_inputs()]
        _compare(case, lambda arrays: session.run(None, dict(zip(names, arrays, strict=True))))
    except Exception:
        # ONNX Runtime has an exception class of its own for every status it knows
        return False
    return True


def operator_of(case: TestCase, models: dict[str, ModelProto]) -> str:
    """The operator that a case is about; of one written as a function body, the function's."""
    base = re.sub(r"_expanded(_ver\d+)?$", "", case.name)
    nodes = models.get(base, case.model).graph.node
    node = next((node for node in nodes if node.op_type != "Constant"), nodes[0])
    return f"{node.domain}.{node.op_type}" if node.domain else str(node.op_type)


def page() -> str:
    """docs/conformance.md."""
    import onnxruntime

    reasons = {case.name: excluded_because(case.model) for case in all_cases()}
    outcomes = {case.name: outcome(case) for case in all_cases()}
    within = [case for case in all_cases() if not reasons[case.name]]
    runtime = {case.name for case in within if runs_in_onnxruntime(case)}
    lines = [
        "# Conformance",
        "",
        f"Generated by `make conformance` with t10c {t10c.__version__}, onnx {onnx.__version__} and"
        f" onnxruntime {onnxruntime.__version__}.",
        "",
        *_RULE.format(cores=CORES, preset=PRESET).splitlines(),
        "",
        *_totals(within, outcomes, runtime),
        "",
        FAILING,
        "",
        *_failures(within, outcomes, runtime),
        "",
        "## By operator",
        "",
        *_by_operator(within, outcomes),
        "",
        "## Beyond the rule",
        "",
        *_beyond(reasons, outcomes),
    ]
    return "\n".join(lines) + "\n"


_RULE = """\
The node cases of onnx.backend.test, run by [t10c.backend](backend.md): each is imported, planned
for {cores} cores of {preset}, lowered to a device program, and the program is checked and executed
on simulated cores. Outputs must have the shapes, element types and numbers that the case expects,
in its own tolerances.

**Rule.** All cases whose inputs and outputs are tensors of float32, bool, or signed or unsigned
integers of 8 to 64 bits; without control flow (If, Loop, Scan, SequenceMap), random numbers,
training, compressed images (ImageDecoder), and the operators of ai.onnx.ml.

A passing case is *planned* if all that computes has a tensor expression, *layout only* if nothing
computes, *folded* if nothing is left to run, and *fallback* if an operator runs whole on one core,
by onnx's reference implementation. The first and the last are the *compute cases*.

Inputs of at most 16 numbers may decide shapes and plans (axes, k, a shape, a scale): where a case
cannot be planned without their values, or only as a fallback, they are constants of the plan."""


def _totals(
    within: Sequence[TestCase], outcomes: dict[str, Outcome], runtime: set[str]
) -> Iterator[str]:
    passed = [outcomes[case.name] for case in within if not outcomes[case.name].failure]
    counts = Counter(each.how for each in passed)
    planned, fallback = counts["planned"], counts["fallback"]
    computing = planned + fallback
    fixed = sum(each.fixed for each in passed)
    yield "| | cases | share |"
    yield "|---|---:|---:|"
    yield f"| within the rule | {len(within):,} | |"
    yield f"| passed by t10c | {len(passed):,} | {_share(len(passed), len(within))} |"
    yield f"| passed by ONNX Runtime | {len(runtime):,} | {_share(len(runtime), len(within))} |"
    yield f"| passing compute cases | {computing:,} | |"
    yield f"| of these planned | {planned:,} | {_share(planned, computing)} |"
    yield f"| of these fallback | {fallback:,} | {_share(fallback, computing)} |"
    yield f"| passing, layout only | {counts['layout only']:,} | |"
    yield f"| passing, folded | {counts['folded']:,} | |"
    yield f"| passing with inputs as constants | {fixed:,} | |"


def _failures(
    within: Sequence[TestCase], outcomes: dict[str, Outcome], runtime: set[str]
) -> Iterator[str]:
    yield "| case | ONNX Runtime | reason |"
    yield "|---|---|---|"
    for case in sorted(within, key=lambda each: each.name):
        reason = outcomes[case.name].failure
        if reason:
            other = "passes" if case.name in runtime else "fails"
            yield f"| `{case.name}` | {other} | {_cell(reason)} |"


def _by_operator(within: Sequence[TestCase], outcomes: dict[str, Outcome]) -> Iterator[str]:
    models = {case.name: case.model for case in all_cases()}
    counts: dict[str, Counter[str]] = {}
    for case in within:
        found = outcomes[case.name]
        key = "failed" if found.failure else found.how
        counts.setdefault(operator_of(case, models), Counter())[key] += 1
    yield f"| operator | cases | {' | '.join(HOW)} | failed |"
    yield "|---|" + "---:|" * (len(HOW) + 2)
    for operator, each in sorted(counts.items()):
        cells = " | ".join(str(each[key] or "") for key in (*HOW, "failed"))
        yield f"| {operator} | {each.total()} | {cells} |"


def _beyond(reasons: dict[str, str], outcomes: dict[str, Outcome]) -> Iterator[str]:
    yield "For information: cases that the rule leaves out, by the first reason that applies."
    yield ""
    yield "| left out for | cases | passed | share |"
    yield "|---|---:|---:|---:|"
    cases = Counter(reason for reason in reasons.values() if reason)
    passed = Counter(r for name, r in reasons.items() if r and not outcomes[name].failure)
    for reason, count in sorted(cases.items()):
        yield f"| {reason} | {count} | {passed[reason]} | {_share(passed[reason], count)} |"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def committed_failures() -> frozenset[str]:
    """The cases that the committed page says fail."""
    section = PAGE.read_text(encoding="utf-8").partition(f"{FAILING}\n")[2].partition("\n## ")[0]
    return frozenset(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def main() -> int:
    """Write or check the page; returns the exit code."""
    parser = argparse.ArgumentParser(description="Run the node cases and write what came of it.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if not current")
    check = parser.parse_args().check
    np.seterr(all="ignore")
    text = page()
    current = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if current == text:
        return 0
    if check:
        print(f"not current: {PAGE.name}; run make conformance", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
