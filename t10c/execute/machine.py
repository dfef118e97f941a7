"""A machine that runs device programs: one array per buffer, the core being its first dimension.

It reads only the program. Data lie where instructions put them: a shift permutes cores, an exchange
takes elements from the buffers that claim to hold them, and a compute step uses what is at the
offsets that the program states. So a wrong program gives wrong numbers.
"""

from collections.abc import Mapping

from t10c.execute.element_types import Array
from t10c.execute.memory import Memories
from t10c.execute.section import Host, Observer, SectionRun
from t10c.ir.program import Program


class Machine:
    """The cores of a program with what is in their memory, from the first inference on.

    `weights` gives the value of every tensor that the program loads once. Raises VerificationError
    where the program cannot be executed.
    """

    def __init__(self, program: Program, weights: Mapping[str, Array]) -> None:
        self.program = program
        self.memory = Memories(program)
        self.inferences = 0
        load = SectionRun(program, program.load, self.memory, Host(weights))
        load.instructions(program.load.instructions)

    def run(
        self, inputs: Mapping[str, Array], observer: Observer | None = None
    ) -> dict[str, Array]:
        """One inference: the graph outputs of the inputs, by name."""
        host, program = Host(inputs), self.program
        for section in (program.begin, *program.sections, program.end):
            run = SectionRun(program, section, self.memory, host, self.inferences, observer)
            run.instructions(section.instructions)
        self.inferences += 1
        return host.outputs
