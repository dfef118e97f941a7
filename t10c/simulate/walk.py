"""The walk through a program: section by section, what every instruction takes and leaves.

Cores meet after every exchange, shift and reduction: a superstep takes as long as the slowest core
or link. Loops are not walked round by round: what their rounds cost together follows from the
classes of cores and steps (rounds.py), and shifts only permute what the cores of a ring hold.
"""

from collections.abc import Callable

from t10c.errors import DoesNotFitError
from t10c.hardware.spec import HardwareSpec
from t10c.ir.program import Program, Section
from t10c.simulate.exchanges import Exchanges
from t10c.simulate.geometry import geometry_of
from t10c.simulate.network import Network
from t10c.simulate.result import Effects, OperatorTiming, Simulation, total_breakdown
from t10c.simulate.section import SectionWalk, Surroundings
from t10c.simulate.store import Store

Advance = Callable[[], None]


def simulate_program(
    program: Program, spec: HardwareSpec, advance: Advance = lambda: None
) -> Simulation:
    """The time line of a program's first inference on a chip; `advance` is told of every section.

    The program must have passed the checker. Weights and inputs are on the chip when it begins.

    Raises DoesNotFitError if the chip has fewer cores, or less memory per core, than the program
    needs; InvalidInputError if its grid lacks the places where the program puts cores.
    """
    if program.core_count > spec.core_count:
        raise DoesNotFitError(
            f"the program is for {program.core_count:,} cores; {spec.name} has {spec.core_count:,}"
            "\ncompile the model for this chip"
        )
    store = Store(program)
    at = geometry_of(program, spec)
    around = Surroundings(program, spec, store, Network(spec, at), Exchanges(program, at), {})
    for section in (program.load, program.begin):
        SectionWalk(around, section, 0.0).run()
    cycles, exact = 0.0, True
    operators = []
    for section in program.sections:
        walk = SectionWalk(around, section, cycles)
        operators.append(_timing(walk, section, cycles, store))
        cycles, exact = walk.cycles, exact and walk.exact
        advance()
    SectionWalk(around, program.end, cycles).run()
    if store.peak_bytes > spec.usable_bytes:
        raise DoesNotFitError(
            f"the program needs {store.peak_bytes:,} bytes per core; {spec.name} has "
            f"{spec.usable_bytes:,}\ncompile the model for this chip"
        )
    return Simulation(
        program.name,
        spec,
        tuple(operators),
        tuple(store.points),
        notes=_notes(exact, around.network.followed),
    )


def _timing(
    walk: SectionWalk, section: Section, begin_cycles: float, store: Store
) -> OperatorTiming:
    """Walk a section and sum up its phases."""
    store.begin_section()
    phases = walk.run()
    kernels = walk.around.program.kernels
    return OperatorTiming(
        name=section.name,
        op_type=section.op_type,
        kernel=next((kernels[number].kernel for number in walk.kernels), "copy"),
        core_count=walk.cores or walk.around.program.core_count,
        begin_cycles=begin_cycles,
        breakdown=total_breakdown(phase.breakdown for phase in phases),
        effects=sum((phase.effects for phase in phases), Effects()),
        phases=phases,
        peak_core_bytes=store.section_peak_bytes,
        moved_bytes=sum(phase.moved_bytes for phase in phases),
        flop=walk.flop,
    )


def _notes(exact: bool, followed: bool) -> tuple[str, ...]:
    """What a reader has to know."""
    notes = ["transfers between host and chip have no cost; weights are on the chip"]
    if not exact:
        notes.append("of loops with very many different rounds some rounds stand for all")
    if not followed:
        notes.append(
            "some exchanges wait for ports, not for links: too many cores, or overlapping pieces"
        )
    return tuple(notes)
