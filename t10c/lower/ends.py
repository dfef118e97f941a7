"""What programs of all schemes share: graph inputs, outputs, and copies from spread to spread."""

from t10c.hardware.spec import HardwareSpec
from t10c.ir.graph import Graph
from t10c.ir.program import Allocate, Exchange, Free, Instruction, Load, Move, Section, Store
from t10c.lower.homes import Uses, even_home, home_name
from t10c.schedule.steps import Copy


class Ends:
    """Sections that are there whatever the plans of operators: `begin`, `end`, and copies."""

    def __init__(self, graph: Graph, uses: Uses, spec: HardwareSpec) -> None:
        self.graph, self.uses, self.spec = graph, uses, spec

    def homes(self, tensor: str) -> tuple[str, ...]:
        """Homes of the tensors that a tensor is a view of."""
        return tuple(
            home_name(name)
            for name in self.uses.existing[tensor]
            if 0 not in self.graph.tensor[name].shape
        )

    def inputs(self) -> tuple[str, ...]:
        """Graph inputs that anything reads."""
        read = {name for names in self.uses.dying for name in names}
        read |= {name for output in self.graph.outputs for name in self.uses.existing[output]}
        return tuple(
            name
            for name in self.graph.inputs
            if name in read and 0 not in self.graph.tensor[name].shape
        )

    def spread(self, tensors: tuple[str, ...]) -> tuple[Instruction, ...]:
        """The host writes tensors that lie evenly on all cores."""
        made: list[Instruction] = []
        for name in tensors:
            if 0 not in self.graph.tensor[name].shape:
                made += [Allocate(even_home(self.graph, name, self.spec)), Load(home_name(name))]
        return tuple(made)

    def begin(self) -> Section:
        """The host writes the graph inputs."""
        return Section("begin", "", (), self.spread(self.inputs()))

    def end(self) -> Section:
        """The host reads the outputs; what still lies there is given back."""
        made: list[Instruction] = []
        held: dict[str, None] = {}
        for name in self.graph.outputs:
            sources = self.homes(name)
            made.append(Store(name, sources))
            held |= dict.fromkeys(sources)
        weights = {home_name(t.name) for t in self.graph.tensors if t.kind == "weight"}
        made += [Free(name) for name in held if name not in weights]
        return Section("end", "", (), tuple(made))

    def copy(self, number: int, copy: Copy) -> Section:
        """Event `number`, a layout-only operator that moves its data: even spread to even."""
        output = copy.operator.output
        sources = {home: None for name in copy.operator.inputs for home in self.homes(name)}
        move = Move(home_name(output), output, tuple(sources))
        made: list[Instruction] = [
            Allocate(even_home(self.graph, output, self.spec)),
            Exchange("copy", (move,)),
            *(Free(home_name(name)) for name in self.uses.dying[number]),
        ]
        if output in self.uses.unread:
            made.append(Free(home_name(output)))
        return Section(copy.operator.name, copy.operator.op_type, (), tuple(made))
