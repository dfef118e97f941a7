"""What the tests of `t10c verify` share: small models with plans and programs, and edits."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from cli_support import Result
from onnx import TensorProto, helper, numpy_helper

from t10c.cli import run

Document = dict[str, Any]

RING = ("--hw", "ipu-mk2", "--hw-set", "cores.count=12", "--hw-set", "cores.sram=9KiB")
"""So few and small cores that pieces rotate: programs have every kind of instruction."""


@dataclass(frozen=True)
class Case:
    """A model with its plan and program, as files."""

    model: Path
    plan: Path
    program: Path

    @property
    def arguments(self) -> list[str | Path]:
        """What verifies it."""
        return ["verify", self.plan, "--model", self.model]

    def edited(self, place: Path, edit: Callable[[Document], object]) -> Path:
        """A copy of the program with a change that a user may make by hand."""
        document = json.loads(self.program.read_text())
        edit(document)
        place.write_text(json.dumps(document))
        return place


def prepare(model: onnx.ModelProto, folder: Path, name: str, hardware: Sequence[str]) -> Case:
    """Write a model and compile it."""
    case = Case(*(folder / f"{name}.{end}" for end in ("onnx", "plan.json", "program.json")))
    case.model.write_bytes(model.SerializeToString(deterministic=True))
    for kind, path in (("plan", case.plan), ("program", case.program)):
        arguments = ["compile", str(case.model), *hardware, "--emit", kind, "-o", str(path), "-q"]
        assert run(arguments) == 0
    return case


def made(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int]],
    outputs: Mapping[str, Sequence[int]],
    constants: Mapping[str, np.ndarray] | None = None,
    opset: int = 17,
) -> onnx.ModelProto:
    """A model of floats."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(a, name) for name, a in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def weights(*shape: int) -> np.ndarray:
    """Weights of a model, the same for the same shape."""
    return np.random.default_rng(len(shape)).standard_normal(shape, np.float32)


def fails(result: Result, code: int, *parts: str) -> None:
    """The result is one short error with this exit code that says all of `parts`."""
    assert result.code == code, result.stderr + result.out
    lines = result.stderr.splitlines()
    assert 1 <= len(lines) <= 3, result.stderr
    assert lines[0].startswith("error: ")
    assert "Traceback" not in result.stderr
    for part in parts:
        assert part in result.stderr, result.stderr
    assert result.stdout == b""
