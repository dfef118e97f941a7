"""Programs of a few cores whose time lines are worked out by hand, on chips with round numbers.

A byte takes 1 cycle through a port or over a link, a sync 10, a hop 5. A product computes 1
multiply-accumulate per cycle after a start of 100 cycles, a scalar function 1 element per cycle
after 20. Elements have 2 bytes.
"""

from collections.abc import Mapping
from dataclasses import replace

import pytest

import t10c
from t10c.hardware.spec import (
    Chips,
    HardwareSpec,
    Interconnect,
    KernelModel,
    ShiftBuffer,
    Topology,
)
from t10c.ir.expression import Axis, Dim, Operand, ScalarStep, TensorExpression
from t10c.ir.graph import Tensor
from t10c.ir.plan import Plan, Rotation
from t10c.ir.program import (
    Allocate,
    Buffer,
    Exchange,
    Free,
    Instruction,
    Load,
    Move,
    Piece,
    Program,
    Range,
    Section,
    Store,
)
from t10c.lower.single import operator_program
from t10c.program.check import check_program
from t10c.schedule.idle import IdleCut
from t10c.search.templates import named_expression
from t10c.simulate.result import OperatorTiming, Phase
from t10c.simulate.walk import simulate_program

GHZ = 1e9


def kernels() -> tuple[tuple[str, KernelModel], ...]:
    product = {"macs_per_cycle": 1.0, "granule": 1.0, "fixed": 100.0}
    scalar = {"elements_per_cycle": 1.0, "fixed": 20.0}
    costs = {"matmul": product, "conv": product, "pointwise": scalar, "reduce": scalar}
    return tuple(
        (name, KernelModel("roofline", tuple(c.items()), "round numbers"))
        for name, c in costs.items()
    )


def chip(
    cores: int,
    kind: Topology = "all-to-all",
    grid: tuple[int, int] | None = None,
    policy: str = "fixed",
    buffer_bytes: int = 1000,
    **more: object,
) -> HardwareSpec:
    """A chip with `cores` cores, on a grid of rows and columns if it is a mesh or torus."""
    made = HardwareSpec(
        name="round",
        description="",
        clock_hz=GHZ,
        element_type="float16",
        element_bytes=2,
        accumulator_bytes=2,
        core_count=cores,
        core_grid=grid,
        sram_bytes=2**20,
        reserved_bytes=0,
        interconnect=Interconnect(kind, GHZ, 1.0, 5.0, 10.0),
        chips=Chips(1, None, 1.0),
        offchip=None,
        shift_buffer=ShiftBuffer(policy, buffer_bytes),  # type: ignore[arg-type]
        overlap_shift_compute=False,
        kernels=kernels(),
        sources=(),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def matmul(
    m: int,
    n: int,
    k: int,
    split: tuple[int, int, int],
    spec: HardwareSpec,
    *rotations: Rotation,
    weights: Mapping[str, IdleCut] | None = None,
) -> Program:
    """The program of A[m,k] x B[k,n] with a plan; what is no weight begins evenly spread."""
    expression = named_expression("matmul", {"m": m, "n": n, "k": k})
    types = dict.fromkeys("ABC", "float16")
    program = operator_program(expression, Plan(split, rotations), spec, types, weights)
    check_program(program)
    return program


def timed(program: Program, spec: HardwareSpec) -> OperatorTiming:
    """The only section of a program."""
    (operator,) = simulate_program(program, spec).operators
    return operator


def phase(operator: OperatorTiming, text: str) -> Phase:
    """The only phase whose text begins so."""
    (found,) = (p for p in operator.phases if p.text.startswith(text))
    return found


def parts(timing: OperatorTiming | Phase) -> dict[str, float]:
    """Parts of a breakdown that are not 0."""
    return {name: value for name, value in timing.breakdown.as_dict().items() if value}


def causes(timing: OperatorTiming | Phase) -> dict[str, float]:
    """Effects that are not 0."""
    return {name: value for name, value in timing.effects.as_dict().items() if value}


HELD = {"A": IdleCut(1, (), 0, 0.0), "B": IdleCut(1, (), 0, 0.0)}
"""A and B are weights that lie where they are needed: nothing is fetched."""


# Computing


def test_two_cores_compute_what_they_hold():
    """A[4,8] x B[8,6], rows on two cores: both have tiles of 2 x 6 x 8 = 96 points."""
    spec = chip(2)
    found = timed(matmul(4, 6, 8, (2, 1, 1), spec, weights=HELD), spec)
    assert parts(found) == {"compute": 196}  # 100 + 96
    assert causes(found) == {}
    assert found.flop == 2 * 4 * 6 * 8
    # A 2 x 8, B 8 x 6 and C 2 x 6 of 2 bytes = 32 + 96 + 24; 1000 bytes for shifts
    assert found.peak_core_bytes == 1152


def test_a_short_last_block_waits_for_the_others():
    """5 rows on two cores: blocks of 3 and 2 rows, 100 + 3 * 48 = 244 and 100 + 2 * 48 = 196."""
    spec = chip(2)
    found = timed(matmul(5, 6, 8, (2, 1, 1), spec, weights=HELD), spec)
    assert parts(found) == {"compute": 220, "idle": 24}  # mean of the two; the slowest has 244
    assert causes(found) == {}  # the slowest tile is a full one
    assert found.flop == 2 * 5 * 6 * 8


def test_an_empty_last_block_takes_nothing():
    """5 rows on four cores: 2, 2, 1, 0 rows; 196, 196, 148 and 0 cycles."""
    spec = chip(4)
    found = timed(matmul(5, 6, 8, (4, 1, 1), spec, weights=HELD), spec)
    assert parts(found) == {"compute": 135, "idle": 61}  # 540 / 4; 196 - 135
    assert causes(found) == {}


def test_cores_without_work_are_idle():
    """Two of four cores have the tiles of the first test: the average core computes 98 cycles."""
    spec = chip(4)
    found = timed(matmul(4, 6, 8, (2, 1, 1), spec, weights=HELD), spec)
    assert parts(found) == {"compute": 98, "idle": 98}
    assert found.core_count == 2


def test_every_step_waits_for_the_core_with_a_full_chunk():
    """k = 5 in chunks of 2, 2 and 1 on three cores: A goes round, and each begins with another.

    A step takes 100 + 1 * 1 * 2; the core with the short chunk is ready one cycle earlier.
    """
    spec = chip(3)
    program = matmul(1, 3, 5, (1, 3, 1), spec, Rotation("k", 3, ("A",)), weights=HELD)
    compute = phase(timed(program, spec), "compute")
    assert parts(compute) == {"compute": 305, "idle": 1}  # 102 + 102 + 101 on every core
    assert compute.count == 3
    assert causes(compute) == {}


# Shifts

CANNON = Rotation("k", 2, ("A", "B"))


def cannon(spec: HardwareSpec) -> Program:
    """A[4,8] x B[8,6] on 2 x 2 cores, A and B going round along k in two chunks of 4."""
    return matmul(4, 6, 8, (2, 2, 1), spec, CANNON, weights=HELD)


def test_four_cores_shift_two_operands_once():
    """2 steps of 100 + 2 * 3 * 4 = 124; one shift of A (2 x 4 x 2 = 16 bytes) and B (4 x 3 x 2)."""
    spec = chip(4)
    found = timed(cannon(spec), spec)
    assert parts(found) == {"compute": 248, "shift": 40, "sync": 40}  # two syncs for each shift
    assert causes(found) == {}
    assert found.moved_bytes == 4 * 40
    assert found.cycles == 328
    texts = [p.text for p in found.phases]
    assert texts == ["setup", "compute matmul", "shift A", "shift B", "finish"]


def test_shifts_pass_through_the_buffer_in_rounds():
    """With a buffer of 10 bytes A (16) takes 2 rounds and B (24) takes 3, of two syncs each."""
    spec = chip(4, buffer_bytes=10)
    found = timed(cannon(spec), spec)
    assert parts(found) == {"compute": 248, "shift": 40, "sync": 100}
    assert causes(found) == {}  # the cost model counts these rounds, too


def test_second_buffers_take_one_round_each():
    spec = chip(4, policy="double", buffer_bytes=10)
    found = timed(cannon(spec), spec)
    assert parts(found) == {"compute": 248, "shift": 40, "sync": 40}
    # A, B twice, C once: 2 * (16 + 24) + 12
    assert found.peak_core_bytes == 92


@pytest.mark.parametrize("slow", [1, 10])
def test_shifts_hide_behind_the_step_before(slow):
    """40 bytes take 40 cycles, which the 124 of the step hide; or 400, of which they hide 124."""
    spec = chip(4, policy="double", overlap_shift_compute=True)
    spec = replace(spec, interconnect=replace(spec.interconnect, cycles_per_byte=float(slow)))
    found = timed(cannon(spec), spec)
    left = {1: {}, 10: {"shift": 276.0}}[slow]
    assert parts(found) == {"compute": 248, "sync": 40} | left
    assert causes(found) == {"overlap": {1: -40, 10: -124}[slow]}


def test_without_second_buffers_nothing_hides():
    spec = chip(4, overlap_shift_compute=True)
    assert parts(timed(cannon(spec), spec))["shift"] == 40


def test_what_is_computed_into_does_not_hide():
    """C travels with its partial sums: it is there only after the step. 2 x 8 x 2 bytes = 32."""
    spec = chip(2, policy="double", overlap_shift_compute=True)
    program = matmul(4, 8, 2, (1, 1, 2), spec, Rotation("m", 2, ("C",)), weights=HELD)
    found = timed(program, spec)
    assert parts(found) == {"compute": 232, "shift": 32, "sync": 20}  # 2 * (100 + 2 * 8 * 1)
    assert causes(found) == {}


def test_short_pieces_shift_faster_where_all_are_short():
    """C has 5 rows in chunks of 3 and 2 on two cores that exchange them: 3 x 2 x 2 = 12 bytes."""
    spec = chip(2)
    program = matmul(5, 2, 8, (1, 1, 2), spec, Rotation("m", 2, ("C",)), weights=HELD)
    shift = phase(timed(program, spec), "shift C")
    assert (shift.received_bytes, shift.sent_bytes, shift.moved_bytes) == (12, 12, 20)
    assert parts(shift) == {"shift": 12, "sync": 20}


def test_nine_cores_shift_twice():
    """A[6,9] x B[9,6] on 3 x 3: 3 steps of 100 + 2 * 2 * 3 = 112, two shifts of 12 and 12 bytes."""
    spec = chip(9)
    rotation = Rotation("k", 3, ("A", "B"))
    found = timed(matmul(6, 6, 9, (3, 3, 1), spec, rotation, weights=HELD), spec)
    assert parts(found) == {"compute": 336, "shift": 48, "sync": 80}
    assert found.moved_bytes == 9 * 48
    assert phase(found, "shift A").count == 2


# Meshes and tori


def nine_on(kind: Topology) -> tuple[HardwareSpec, OperatorTiming]:
    spec = chip(9, kind, (3, 3))
    rotation = Rotation("k", 3, ("A", "B"))
    return spec, timed(matmul(6, 6, 9, (3, 3, 1), spec, rotation, weights=HELD), spec)


def test_rings_of_three_fold_on_a_mesh():
    """Of the three ways round a ring of three on a line, two have 1 hop and one has 2.

    0 -> 1 and 1 -> 2 lead one way, 2 -> 0 back over both links in the other direction: no link has
    two pieces, and a shift takes 12 cycles and 2 hops of 5.
    """
    _, found = nine_on("mesh2d")
    assert parts(found) == {"compute": 336, "shift": 48 + 4 * 10, "sync": 80}
    assert causes(found) == {"hops": 40}
    assert phase(found, "shift A").hops == 2


def test_rings_of_three_close_on_a_torus():
    """Every way is 1 hop: 5 cycles for each of 4 shifts."""
    _, found = nine_on("torus2d")
    assert parts(found) == {"compute": 336, "shift": 48 + 4 * 5, "sync": 80}
    assert causes(found) == {"hops": 20}
    assert phase(found, "shift A").hops == 1


def test_flows_share_links():
    """Four cores in a row, those of a ring of two are put two places apart: 0 <-> 2, 1 <-> 3.

    The link from place 1 to place 2 carries the pieces of both rings that go up: 16 bytes, 8 more
    than the port takes. Every way has 2 hops.
    """
    spec = chip(4, "mesh2d", (1, 4))
    program = matmul(4, 2, 4, (2, 2, 1), spec, Rotation("k", 2, ("A",)), weights=HELD)
    program = replace(program, positions=("core//2 + core%2*2", "0"))
    shift = phase(timed(program, spec), "shift A")
    assert shift.received_bytes == 8  # 2 x 2 x 2 bytes
    assert parts(shift) == {"shift": 8 + 8 + 2 * 5, "sync": 20}
    assert causes(shift) == {"contention": 8, "hops": 10}


def test_on_a_larger_grid_cores_stay_where_the_program_puts_them():
    """The same on 6 cores in a row, of which the last two are idle."""
    spec = chip(4, "mesh2d", (1, 4))
    program = matmul(4, 2, 4, (2, 2, 1), spec, Rotation("k", 2, ("A",)), weights=HELD)
    program = replace(program, positions=("core//2 + core%2*2", "0"))
    shift = phase(timed(program, chip(6, "mesh2d", (1, 6))), "shift A")
    assert parts(shift) == {"shift": 8 + 8 + 2 * 5, "sync": 20}
    assert causes(shift) == {"contention": 8, "hops": 10}


def test_cores_in_the_plans_order_do_not_share_links():
    """The plan puts the cores of a ring side by side: 1 hop, and no link twice."""
    spec = chip(4, "mesh2d", (1, 4))
    program = matmul(4, 2, 4, (2, 2, 1), spec, Rotation("k", 2, ("A",)), weights=HELD)
    shift = phase(timed(program, spec), "shift A")
    assert parts(shift) == {"shift": 8 + 5, "sync": 20}
    assert causes(shift) == {"hops": 5}


# Exchanges


def moving(
    spec: HardwareSpec,
    shape: tuple[int, ...],
    held: Piece,
    wanted: Piece,
    views: tuple = (),
    tensors: tuple[Tensor, ...] = (),
) -> Program:
    """A program that only moves a tensor of 2-byte elements from one layout to another."""
    source = Buffer("home:X", "X", held, _elements(held), 16)
    target = Buffer(
        "use:copy:X", tensors[-1].name if tensors else "X", wanted, _elements(wanted), 16
    )
    names = (Tensor("X", shape, "float16", "input"), *tensors)
    move = Move(target.name, target.tensor, (source.name,))
    body: tuple[Instruction, ...] = (Allocate(target), Exchange("transition", (move,)))
    program = Program(
        name="moving",
        core_count=spec.core_count,
        core_bytes=spec.usable_bytes,
        reserved_bytes=0,
        element_bits=16,
        tensors=names,
        inputs=("X",),
        outputs=("X",),
        kernels=(),
        views=views,
        load=Section("load", "", (), ()),
        begin=Section("begin", "", (), (Allocate(source), Load(source.name))),
        sections=(Section("copy", "Copy", (), (*body, Free(target.name))),),
        end=Section("end", "", (), (Store("X", (source.name,)), Free(source.name))),
    )
    check_program(program)
    return program


def _elements(piece: Piece) -> int:
    size = 1
    for n in piece.shape:
        size *= n
    return size


def strip(cores: int, start: str, length: int, size: int, stop: str = "") -> Piece:
    """`length` elements of a vector of `size`, from `start` on."""
    stops = (stop,) if stop else ()
    return Piece(cores, (Dim((("i", 1),), size),), (Range("i", start, length, stops),))


def test_all_want_what_one_core_has():
    """Core 0 holds 10 elements, four cores want them: 20 bytes in, 60 bytes out of core 0."""
    spec = chip(4)
    found = timed(moving(spec, (10,), strip(1, "0", 10, 10), strip(4, "0", 10, 10)), spec)
    assert parts(found) == {"transition": 60, "sync": 60}
    assert causes(found) == {"contention": 40}
    (exchange,) = found.phases
    assert (exchange.received_bytes, exchange.sent_bytes, exchange.moved_bytes) == (20, 60, 60)


def test_copies_share_what_others_want():
    """Cores 0 and 1 hold 10 elements each, cores 2 and 3 want them: 20 bytes in, 20 out."""
    spec = chip(4)
    held, wanted = strip(2, "0", 10, 10), strip(4, "0", 10, 10)
    found = timed(moving(spec, (10,), held, wanted), spec)
    assert parts(found) == {"transition": 20, "sync": 60}
    assert causes(found) == {}


def test_what_lies_in_place_takes_nothing():
    """Two cores keep what they have: no bytes, and no syncs."""
    spec = chip(2)
    same = strip(2, "core*5", 5, 10)
    found = timed(moving(spec, (10,), same, same), spec)
    assert parts(found) == {}
    assert found.cycles == 0


@pytest.mark.parametrize("kind", ["all-to-all", "mesh2d"])
def test_an_exchange_without_moves_takes_nothing(kind):
    spec = chip(2, kind, None if kind == "all-to-all" else (1, 2))
    program = moving(spec, (10,), strip(2, "core*5", 5, 10), strip(2, "5 - core*5", 5, 10))
    (section,) = program.sections
    allocate, _, free = section.instructions
    section = replace(section, instructions=(allocate, Exchange("transition", ()), free))
    simulation = simulate_program(replace(program, sections=(section,)), spec)
    assert simulation.latency_cycles == 0
    assert len(simulation.notes) == 1


def test_a_core_keeps_its_own_part():
    """A strip of 6 of 9 elements moves up by 3 a core: core 1 has 3 of its 6, core 0 has 3 of 6.

    Held: core 0 0..5, core 1 6..8. Wanted: core 0 3..8, core 1 0..5. Core 0 gets 6..8 (6 bytes),
    core 1 gets 0..5 (12 bytes), which core 0 sends.
    """
    spec = chip(2)
    held = strip(2, "core*6", 6, 9, "9")
    wanted = strip(2, "3 - core*3", 6, 9)
    found = timed(moving(spec, (9,), held, wanted), spec)
    assert parts(found) == {"transition": 12, "sync": 60}
    (exchange,) = found.phases
    assert (exchange.received_bytes, exchange.sent_bytes, exchange.moved_bytes) == (12, 12, 18)


LINE = strip(4, "core", 1, 4)
"""One of four elements on each of four cores."""

TURNED = strip(4, "3 - core", 1, 4)


@pytest.mark.parametrize(
    ("kind", "cycles", "contention", "hops"),
    [
        # 2 bytes in and out of every core
        ("all-to-all", 2, 0, 0),
        # 0 -> 3 and 1 -> 2 share the middle link: 4 bytes. The longest way has 3 links
        ("mesh2d", 4 + 3 * 5, 2, 3),
        # 0 -> 3 goes round the end, 1 link; 1 -> 2 has 1: no link is shared
        ("torus2d", 2 + 5, 0, 1),
    ],
)
def test_a_row_of_four_turned_round(kind, cycles, contention, hops):
    spec = chip(4, kind, None if kind == "all-to-all" else (1, 4))
    found = timed(moving(spec, (4,), LINE, TURNED), spec)
    assert parts(found) == {"transition": cycles, "sync": 60}
    assert causes(found) == {k: v for k, v in (("contention", contention), ("hops", hops * 5)) if v}
    assert found.phases[0].hops == hops


@pytest.mark.parametrize(("kind", "most", "hops"), [("mesh2d", 12, 4), ("torus2d", 6, 2)])
def test_all_of_nine_want_what_the_corner_has(kind, most, hops):
    """Core 0 sends 1 element to each of 8 others, along x first: 16 bytes out of its port.

    Mesh: the link to the right carries what 6 cores want (12 bytes), the one down what 2 want.
    Torus: left and right 3 cores each (6 bytes), up and down 1 each. The port is the slowest in
    either case, 14 more than the 2 that a core receives; the farthest core is 4 hops off, or 2.
    """
    spec = chip(9, kind, (3, 3))
    found = timed(moving(spec, (1,), strip(1, "0", 1, 1), strip(9, "0", 1, 1)), spec)
    assert most < 16
    assert parts(found) == {"transition": 16 + 5 * hops, "sync": 60}
    assert causes(found) == {"contention": 14, "hops": 5 * hops}


def test_the_nearest_holder_sends():
    """Elements at both ends of a row of four: core 1 gets them from core 0, core 2 from core 3.

    10 elements: 20 bytes over 1 link each. Were they shared, core 3 would send half over 2 links.
    """
    spec = chip(4, "mesh2d", (1, 4))
    ends = Piece(
        4,
        (Dim((("i", 1),), 10),),
        (Range("i", "0", 10), Range("end", "core%3", 1, ("1",))),
    )
    found = timed(moving(spec, (10,), ends, strip(4, "0", 10, 10)), spec)
    assert parts(found) == {"transition": 20 + 5, "sync": 60}
    assert causes(found) == {"hops": 5}


def test_chips_share_one_slow_link():
    """Two chips of two cores, a link of 0.5 bytes per cycle; a row of four turned round.

    Each chip sends 2 elements of 2 bytes to the other: 8 cycles instead of 2.
    """
    spec = chip(4, chips=Chips(2, 0.5 * GHZ, 1.0))
    found = timed(moving(spec, (4,), LINE, TURNED), spec)
    assert parts(found) == {"transition": 8, "sync": 60}
    assert causes(found) == {"contention": 6}


def test_all_communication_between_chips_costs_its_factor():
    """The same at a factor of 1.5: bytes of ports and syncs, not those of the slow link."""
    spec = chip(4, chips=Chips(2, 0.5 * GHZ, 1.5))
    found = timed(moving(spec, (4,), LINE, TURNED), spec)
    assert parts(found) == {"transition": 8, "sync": 90}
    assert causes(found) == {"contention": 5}
    fast = chip(4, chips=Chips(2, 100 * GHZ, 1.5))
    assert parts(timed(moving(fast, (4,), LINE, TURNED), fast)) == {"transition": 3, "sync": 90}


def test_neighbours_on_one_chip_do_not_use_the_link():
    """Cores 0 and 1, and 2 and 3, swap: nothing passes between the two chips."""
    spec = chip(4, chips=Chips(2, 0.001 * GHZ, 1.0))
    swapped = strip(4, "core//2*2 + (core + 1)%2", 1, 4)
    found = timed(moving(spec, (4,), LINE, swapped), spec)
    assert parts(found) == {"transition": 2, "sync": 60}


# Setup


def test_setup_gathers_idle_pieces_round_by_round():
    """B[8,6] is cut in 3 along n on three cores that each need all of it, while idle.

    Idle pieces have 8 x 2 x 2 = 32 bytes; each core receives 2 of them, in 2 rounds of 2 syncs.
    """
    spec = chip(3)
    weights = {"A": IdleCut(1, (), 0, 0.0), "B": IdleCut(3, (("n", 3),), 0, 0.0)}
    found = timed(matmul(3, 6, 8, (3, 1, 1), spec, weights=weights), spec)
    setup = phase(found, "setup")
    assert parts(setup) == {"setup": 64, "sync": 40}
    assert causes(setup) == {}
    assert parts(found) == {"setup": 64, "sync": 40, "compute": 148}  # 100 + 1 * 6 * 8


def test_short_idle_pieces_are_gathered_sooner():
    """5 columns in pieces of 2, 2 and 1: the core with the short one gets 64 bytes, others 48.

    The same as with full pieces at the core that receives most; the others send 32 to each.
    """
    spec = chip(3)
    weights = {"A": IdleCut(1, (), 0, 0.0), "B": IdleCut(3, (("n", 3),), 0, 0.0)}
    setup = phase(timed(matmul(3, 5, 8, (3, 1, 1), spec, weights=weights), spec), "setup")
    assert (setup.received_bytes, setup.sent_bytes, setup.moved_bytes) == (64, 64, 160)
    assert parts(setup) == {"setup": 64, "sync": 40}


# Reductions and ends


def test_two_cores_reduce_half_each():
    """k on two cores: both have all of C[4,6]. Half of 24 elements moves, and is added.

    2 syncs, 24 bytes, 20 + 12 cycles. Tiles of 4 x 6 x 4 = 96 points.
    """
    spec = chip(2)
    found = timed(matmul(4, 6, 8, (1, 1, 2), spec, weights=HELD), spec)
    reduction = phase(found, "reduce")
    assert parts(reduction) == {"compute": 32, "sync": 20, "reduction": 24}
    assert parts(found) == {"compute": 196 + 32, "sync": 20, "reduction": 24}


def test_four_cores_reduce_all_of_the_piece():
    """C[4,6] on four cores: 4 syncs, 48 bytes, 20 + 6 * 4 cycles to add up 6 elements of 4."""
    spec = chip(4)
    reduction = phase(timed(matmul(4, 6, 8, (1, 1, 4), spec, weights=HELD), spec), "reduce")
    assert parts(reduction) == {"compute": 44, "sync": 40, "reduction": 48}


def test_a_reduction_on_a_line_passes_hops():
    """The same on a row of four: from the last rank back to the first one there are 3 hops.

    They are paid at each of the 3 steps round the ring. A core passes on 3/4 of 48 bytes, which is
    less than what is charged anyway.
    """
    spec = chip(4, "mesh2d", (1, 4))
    program = replace(matmul(4, 6, 8, (1, 1, 4), spec, weights=HELD), positions=("core", "0"))
    reduction = phase(timed(program, spec), "reduce")
    assert parts(reduction) == {"compute": 44, "sync": 40, "reduction": 48 + 3 * 3 * 5}
    assert causes(reduction) == {"hops": 45}


def test_a_fused_epilogue_works_on_the_shares():
    """Relu on the 12 elements that each of two cores keeps of C[4,6]: no start is paid again."""
    spec = chip(2)
    plain = named_expression("matmul", {"m": 4, "n": 6, "k": 8})
    expression = replace(plain, epilogue=(ScalarStep("Relu", ("acc",)),))
    types = dict.fromkeys("ABC", "float16")
    program = operator_program(expression, Plan((1, 1, 2)), spec, types, HELD)
    check_program(program)
    finish = phase(timed(program, spec), "finish")
    assert parts(finish) == {"compute": 12}
    assert causes(finish) == {}


def test_a_pointwise_operator_ends_with_a_sync():
    """10 elements on two cores, 20 + 5 cycles, one sync; short on a third one."""
    spec = chip(2)
    axis = Axis("i", 10, "parallel")
    dims = (Dim((("i", 1),), 10),)
    relu = TensorExpression(
        "pointwise",
        (axis,),
        (Operand("A", dims),),
        Operand("C", dims),
        (ScalarStep("Relu", ("A",)),),
    )
    types = dict.fromkeys("AC", "float16")
    program = operator_program(relu, Plan((2,)), spec, types, {"A": IdleCut(1, (), 0, 0.0)})
    assert parts(timed(program, spec)) == {"compute": 25, "sync": 10}


# All of it


def test_the_time_line_of_an_operator_from_begin_to_end():
    """Four cores, A and B evenly spread at first: exchange, two steps with a shift between, finish.

    A[4,8] and B[8,6] have 64 and 96 bytes, a core 16 and 24 of them, 8 and 12 elements: row r of A
    is on core r; rows 2 c and 2 c + 1 of B on core c. Core (m, n) begins with chunk (m + n) % 2 of
    k, and is number 2 m + n.
    """
    spec = chip(4)
    simulation = simulate_program(matmul(4, 6, 8, (2, 2, 1), spec, CANNON), spec)
    (found,) = simulation.operators
    # elements to fetch, of A's two rows (a chunk of 4 each) and B's four rows (3 columns each):
    # core 0: row 1 of A, 4, its own is row 0; rows 2, 3 of B, 6, its own are rows 0, 1: 20 bytes
    # core 1: row 0 of A, 4; rows 4 to 7 of B, 12, none its own: 32 bytes
    # core 2: row 3 of A, 4; rows 6, 7 of B, 6, its own are rows 4, 5: 20 bytes
    # core 3: row 2 of A, 4; rows 0 to 3 of B, 12: 32 bytes
    exchange = phase(found, "transition")
    assert (exchange.received_bytes, exchange.moved_bytes) == (32, 104)
    # core 0 sends row 0 of A to core 1 and rows 0, 1 of B to core 3: 4 + 6 elements, 20 bytes;
    # core 1 sends row 1 of A to core 0, rows 2, 3 of B to cores 0 and 3: 4 + 12 elements, 32 bytes
    assert exchange.sent_bytes == 32
    assert parts(found) == {"transition": 32, "compute": 248, "shift": 40, "sync": 60 + 40}
    begins = {p.text: (p.begin_cycles, p.end_cycles) for p in found.phases}
    assert begins["transition"] == (0, 92)
    assert begins["compute matmul"] == begins["shift A"] == begins["shift B"] == (92, 420)
    assert begins["finish"] == (420, 420)
    assert simulation.latency_cycles == 420
    assert simulation.latency_seconds == pytest.approx(420e-9)
    assert simulation.utilisation == pytest.approx(248 / 420)
    # homes 16 + 24, A 2 x 4, B 4 x 3, C 2 x 3 elements, 1000 for shifts; the homes are free once
    # the exchange is over
    points = [(p.begin_cycles, p.core_bytes) for p in simulation.memory]
    assert max(size for _, size in points) == 1000 + 40 + 16 + 24
    assert points[-1] == (420, 1000)


def test_a_smaller_chip_is_refused():
    spec = chip(4)
    with pytest.raises(t10c.errors.DoesNotFitError, match="has 2"):
        simulate_program(cannon(spec), replace(spec, core_count=2))
