"""What the virtual global memory scheme says: a plan of a model (docs/baseline.md)."""

from dataclasses import dataclass

from t10c.baselines.search import Tiling
from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import TensorExpression
from t10c.ir.graph import Graph
from t10c.schedule.result import CopyPlan


@dataclass(frozen=True, slots=True)
class VgmMemory:
    """Bytes per core while an operator runs: all weights, live tensors, and its tile buffers.

    `live` are the homes of all tensors that are needed now or later, the operator's inputs and
    output included.
    """

    weights: int
    live: int
    tiles: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.live + self.tiles


@dataclass(frozen=True, slots=True)
class VgmOperatorPlan:
    """One operator as planned; `problem` numbers its expression in `VgmPlan.problems`."""

    name: str
    problem: int
    tiling: Tiling
    memory_bytes: VgmMemory


@dataclass(frozen=True)
class VgmPlan:
    """Tilings of all operators of a model, all its tensors being spread evenly over all cores.

    `end_bytes` is the demand per core after the last operator: weights and graph outputs.
    """

    graph: Graph
    spec: HardwareSpec
    operators: tuple[VgmOperatorPlan, ...]
    copies: tuple[CopyPlan, ...]
    problems: tuple[TensorExpression, ...]
    weight_bytes: int
    end_bytes: int

    @property
    def latency_cycles(self) -> float:
        """Predicted cycles of one inference."""
        return sum(self.total_cycles().values())

    @property
    def peak_core_bytes(self) -> int:
        """Largest demand at any time, in bytes per core, of operators and after the last one."""
        return max([*(o.memory_bytes.total for o in self.operators), self.end_bytes])

    def total_cycles(self) -> dict[str, float]:
        """Predicted cycles of every operator and copy, by name."""
        costs = {operator.name: operator.tiling.cycles for operator in self.operators}
        return costs | {copy.name: copy.cycles for copy in self.copies}
