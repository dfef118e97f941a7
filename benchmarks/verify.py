"""What `t10c verify` takes: models of the zoo, and a quantised one, on 1,472 simulated cores.

    python benchmarks/verify.py                     # all of them, as a table
    python benchmarks/verify.py --only resnet --json figures.json
    python benchmarks/verify.py --write             # also into docs/verification.md

Every command runs in a process of its own with one thread. CPU seconds are user and system,
start-up and imports included; those of one inference leave out the comparison. Memory is the peak
resident size of `verify`. The models have random weights; the error is the largest of any output,
relative to the largest value of that output. Exit code 1 if any plan is wrong.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from measure import ROOT, parser, report, run_t10c
from onnx import TensorProto, helper, numpy_helper

PAGE = ROOT / "docs" / "verification.md"
BEGIN, END = "<!-- figures: benchmarks/verify.py --write -->\n", "<!-- end of figures -->\n"

ZOO = {
    "BERT-large, two layers": "bert-large --layers 2",
    "ViT-base, one block": "vit-base --layers 1",
    "ResNet-18": "resnet-18",
    "ResNet-50": "resnet-50",
    "MobileNetV2": "mobilenet-v2",
    "NeRF": "nerf",
    "OPT-1.3B, one layer, prefill": "opt-1.3b --layers 1 --set vocabulary=1000",
    "OPT-1.3B, one layer, decode": "opt-1.3b --layers 1 --phase decode --set vocabulary=1000",
    "Llama-3-8B, one layer, decode": "llama-3-8b --layers 1 --phase decode --set vocabulary=1000",
    "LSTM of the Penn Treebank, 4 steps": "lstm-ptb-large --seq 4 --batch 4",
}
"""Names of cases, and what `t10c zoo build` makes of them."""


def quantised(path: Path, channels: int = 64, size: int = 56) -> None:
    """A residual block and a classifier as quantisers write them: 8 bits between all operators."""
    made = _Quantised()
    image = made.stored("image", 0.05)
    hidden = made.convolution(image, channels, channels, relu=True)
    summed = made.node("Add", [made.convolution(hidden, channels, channels), image])
    block = made.stored(made.node("Relu", [summed]), 0.05)
    pooled = made.stored(made.node("GlobalAveragePool", [block]), 0.02)
    flat = made.node("Flatten", [pooled])
    classes = made.node("MatMul", [flat, made.weight((channels, 1000))])
    shapes = {"image": [1, channels, size, size], classes: [1, 1000]}
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    ]
    graph = helper.make_graph(made.nodes, "quantised", values[:1], values[1:], made.constants)
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


class _Quantised:
    """Nodes and constants of a quantised model, named by their number."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []
        self.random = np.random.default_rng(0)

    def node(self, op_type: str, inputs: list[str], **attributes: object) -> str:
        output = f"{op_type}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [output], output, **attributes))
        return output

    def constant(self, array: np.ndarray) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def stored(self, name: str, scale: float) -> str:
        """The tensor rounded to 8 bits, as a float again."""
        given = [self.constant(np.float32(scale)), self.constant(np.int8(0))]
        return self.node("DequantizeLinear", [self.node("QuantizeLinear", [name, *given]), *given])

    def weight(self, shape: tuple[int, ...]) -> str:
        values = self.random.integers(-127, 128, shape).astype(np.int8)
        scale = np.float32(1 / (100 * np.sqrt(np.prod(shape[1:]))))
        given = [self.constant(scale), self.constant(np.int8(0))]
        return self.node("DequantizeLinear", [self.constant(values), *given])

    def convolution(self, name: str, inputs: int, outputs: int, relu: bool = False) -> str:
        weight = self.weight((outputs, inputs, 3, 3))
        made = self.node("Conv", [name, weight], pads=[1, 1, 1, 1])
        return self.stored(self.node("Relu", [made]) if relu else made, 0.05)


def measured(
    name: str, build: Callable[[Path], object], cores: int, folder: Path
) -> dict[str, Any]:
    """One row of the table: build, compile and verify a model."""
    model, plan = folder / "model.onnx", folder / "model.plan.json"
    build(model)
    chip = ["--hw", "ipu-mk2", "--hw-set", f"cores.count={cores}"]
    compiled = run_t10c("compile", model, *chip, "-o", plan, "-q")
    verified = run_t10c("verify", plan, "--model", model, "--format", "json", codes=(0, 9))
    found = json.loads(verified.stdout)
    count = len(found["inferences"])
    machine, runtime = (found[f"{side}_cpu_seconds"] / count for side in ("machine", "runtime"))
    errors = [output["relative_error"] for outputs in found["inferences"] for output in outputs]
    return {
        "model": name,
        "operators": found["operators"],
        "compile CPU s": compiled.cpu_seconds,
        "verify CPU s": verified.cpu_seconds,
        "cores CPU s": machine,
        "ORT CPU s": runtime,
        "ratio": machine / runtime,
        "peak MB": verified.peak_bytes / 1e6,
        "error": f"{max(errors):.1e}",
        "agrees": "yes" if found["passed"] else "NO",
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table for the document."""
    heads = {
        "model": "model",
        "operators": "operators",
        "compile CPU s": "compile, CPU s",
        "verify CPU s": "verify, CPU s",
        "cores CPU s": "one inference on the cores, CPU s",
        "ORT CPU s": "in ONNX Runtime, CPU s",
        "ratio": "ratio",
        "peak MB": "peak, MB",
        "error": "largest error",
    }
    lines = [" | ".join(heads.values()), "---" + "|---:" * (len(heads) - 1)]
    for row in rows:
        cells = [_cell(key, row[key]) for key in heads]
        lines.append(" | ".join(cells))
    return "".join(f"| {line} |\n" for line in lines)


def _cell(key: str, value: object) -> str:
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    return f"{value:,.0f}" if key in ("peak MB", "ratio") else f"{value:.2f}"


def zoo(text: str) -> Callable[[Path], object]:
    """What writes a model of the zoo, with random weights."""
    recipe = [*text.split(), "--weights", "random", "-q", "-o"]
    return lambda path: run_t10c("zoo", "build", *recipe, path)


def main() -> int:
    """Measure every case and print the table; the exit code."""
    options = parser(__doc__)
    options.add_argument("--cores", type=int, default=1472, help="number of simulated cores")
    options.add_argument("--write", action="store_true", help=f"write the table to {PAGE.name}")
    arguments = options.parse_args()
    if arguments.write and BEGIN not in PAGE.read_text():
        sys.exit(f"{PAGE} has no place for the table: {BEGIN.strip()}")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    cases = {name: zoo(text) for name, text in ZOO.items()} | {"Quantised block": quantised}
    rows = []
    for name, build in cases.items():
        if arguments.only.lower() in name.lower():
            with tempfile.TemporaryDirectory() as folder:
                rows.append(measured(name, build, arguments.cores, Path(folder)))
            print(f"{name}: {rows[-1]['verify CPU s']:.1f} CPU s", file=sys.stderr)
    report(rows, arguments)
    if arguments.write:
        before, rest = PAGE.read_text().split(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n{markdown(rows)}\n{END}{after}")
    return 0 if all(row["agrees"] == "yes" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
