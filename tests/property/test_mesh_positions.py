"""Cores of meshes and tori: plans say where they are, and their rings are short."""

import itertools
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from planned_graphs import GraphWriter
from random_expressions import KINDS, draw_expression
from random_plans import draw_plan

import t10c
from t10c.errors import InvalidInputError
from t10c.hardware.load import load_spec
from t10c.hardware.spec import HardwareSpec
from t10c.hardware.topology import grid_of, hops
from t10c.ir.formula import evaluate
from t10c.ir.plan import Plan, Rotation
from t10c.ir.positions import CorePositions, PositionDigit, row_major
from t10c.ir.program import Instruction, Loop, Program, Shift
from t10c.lower.single import operator_program
from t10c.program.check import check_program
from t10c.program.document import dump_program, load_program
from t10c.program.placed import per_core
from t10c.report.explain import operator_document, operator_lines
from t10c.report.positions import hops_text, positions_document, positions_lines, positions_text
from t10c.report.program import program_lines
from t10c.schedule.arrangements import arrangements
from t10c.schedule.document import dump_plan, load_plan
from t10c.schedule.positions import core_positions, plan_shiftings, ring_loads
from t10c.schedule.result import ModelPlan
from t10c.schedule.rings import Shifting, ring_uses
from t10c.search.templates import named_expression

BOTH = ("A", "B")
TYPES = dict.fromkeys("ABC", "float16")


def chip(rows: int, columns: int, kind: str = "mesh2d", kib: float = 48) -> HardwareSpec:
    """A wafer with that many cores."""
    changes = (
        f"cores.grid={rows}x{columns}",
        f"interconnect.kind={kind}",
        f"cores.sram={kib}KiB",
        "cores.reserved=0B",
        "shift_buffer.size=256B",
    )
    return load_spec("wse2", changes)


def shifts(instructions: Iterable[Instruction]) -> Iterator[Shift]:
    """All shifts, those in loops included."""
    for instruction in instructions:
        if isinstance(instruction, Loop):
            yield from shifts((*instruction.body, *instruction.between))
        elif isinstance(instruction, Shift):
            yield instruction


def longest_hops(program: Program, spec: HardwareSpec) -> list[int]:
    """Hops of the longest way of every shift, by what the program says alone."""
    assert program.positions is not None
    cores = np.arange(program.core_count)
    x, y = (per_core(f, program.core_count, {"core": cores}) for f in program.positions)
    found = []
    for section in program.sections:
        buffers = {
            i.buffer.name: i.buffer.piece.cores
            for i in section.instructions
            if hasattr(i, "buffer") and hasattr(i.buffer, "piece")
        }
        values: dict = {"core": cores, "run": 0}
        for name, formula in section.values:
            values[name] = evaluate(formula, values)
        for shift in shifts(section.instructions):
            used = cores[: buffers[shift.buffer]]
            source = evaluate(shift.source, values)[used]
            found.append(int(hops(grid_of(spec), x[source], y[source], x[used], y[used]).max()))
    return found


def cannon(m: int, n: int, radix: int) -> tuple:
    """A matmul on m x n cores whose inputs both rotate."""
    expression = named_expression("matmul", {"m": 2 * m, "n": 2 * n, "k": 2 * radix})
    return expression, Plan((m, n, 1), (Rotation("k", radix, BOTH),))


def program_of(expression, plan: Plan, spec: HardwareSpec) -> Program:
    types = {operand.name: "float16" for operand in expression.operands}
    return operator_program(expression, plan, spec, types)


# Short rings


@pytest.mark.parametrize("radix", [750, 250, 25])
def test_rings_of_a_matmul_on_a_wafer_have_two_hops(radix):
    spec = chip(750, 750)
    assert longest_hops(program_of(*cannon(750, 750, radix), spec), spec) == [2, 2]


def test_rings_round_a_torus_have_one_hop():
    spec = chip(750, 750, "torus2d")
    assert longest_hops(program_of(*cannon(750, 750, 750), spec), spec) == [1, 1]


@pytest.mark.parametrize("kind", ["mesh2d", "torus2d"])
@pytest.mark.parametrize(("rows", "columns"), [(3, 4), (4, 3), (2, 6), (1, 12), (5, 7), (8, 10)])
def test_two_rings_that_fit_one_axis_each_have_at_most_two_hops(rows, columns, kind):
    spec = chip(rows, columns, kind)
    tried = 0
    for m, n in itertools.product(range(1, 13), range(1, 13)):
        fits = (m <= rows and n <= columns) or (m <= columns and n <= rows)
        for radix in range(2, 1 + math.gcd(m, n)):
            if fits and math.gcd(m, n) % radix == 0:
                tried += 1
                assert max(longest_hops(program_of(*cannon(m, n, radix), spec), spec)) <= 2
    for radix in range(2, rows * columns + 1):  # a ring of any length, alone
        expression = named_expression("matmul", {"m": 1, "n": 200, "k": 200})
        plan = Plan((1, radix, 1), (Rotation("k", radix, ("A",)),))
        assert longest_hops(program_of(expression, plan, spec), spec)[0] <= 2
    assert tried or min(rows, columns) == 1


def test_different_radices_along_one_axis_serve_the_dearer_ring():
    spec = chip(1, 12)
    dear, cheap = (
        Shifting(*cannon(1, 12, 1)[:1], Plan((1, 12, 1), (Rotation("k", radix, ("A",)),)), size)
        for radix, size in ((4, (4000, 4, 4)), (3, (40, 4, 4)))
    )
    for shiftings in ([dear, cheap], [cheap, dear]):
        positions = core_positions(shiftings, spec)
        x, _ = positions.arrays()
        assert abs(x[[1, 2, 3, 0]] - x[:4]).max() == 2


# Laws


def random_shiftings(seed: int) -> tuple[HardwareSpec, list[Shifting]]:
    """A mesh or torus, and several plans for it."""
    rng = Random(seed)
    shiftings = []
    for _ in range(rng.choice([1, 1, 2, 4])):
        drawn = draw_expression(rng.choice(KINDS), rng)
        plan = draw_plan(drawn.expression, rng)
        sizes = tuple(rng.choice([8, 200, 3000]) for _ in drawn.expression.operands)
        shiftings.append(Shifting(drawn.expression, plan, sizes, rng.randint(1, 9)))
    cores = max(math.prod(s.plan.split) for s in shiftings)
    rows = rng.randint(1, max(2, math.isqrt(cores)))
    columns = -(-cores // rows) + rng.choice([0, 0, 1])
    return chip(rows, columns, rng.choice(["mesh2d", "torus2d"])), shiftings


def cycles(positions: CorePositions, spec: HardwareSpec, shiftings: list[Shifting]) -> float:
    """What all shifts cost: flows on links and hops."""
    uses = ring_uses(shiftings, spec)
    loads = ring_loads(grid_of(spec), positions, uses)
    return sum(
        use.load_cycles * load.most_bytes + use.hop_cycles * load.hops
        for use, load in zip(uses, loads, strict=True)
    )


@pytest.mark.parametrize("seed", range(120))
def test_chosen_positions_are_a_bijection_and_cost_no_more_than_any_candidate(seed):
    spec, shiftings = random_shiftings(seed)
    positions = core_positions(shiftings, spec)
    assert positions == core_positions(shiftings, spec)
    x, y = positions.arrays()
    rows, columns = spec.core_grid
    assert set(zip(x.tolist(), y.tolist(), strict=True)) == {
        (i, j) for i in range(columns) for j in range(rows)
    }
    chosen = cycles(positions, spec, shiftings)
    candidates = arrangements(grid_of(spec), ring_uses(shiftings, spec))
    assert row_major(columns, rows) in candidates
    for candidate in candidates:
        assert chosen <= cycles(candidate, spec, shiftings) * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(40))
def test_programs_say_what_was_chosen(seed):
    spec, shiftings = random_shiftings(seed)
    one = shiftings[0]
    program = program_of(one.expression, one.plan, spec)
    cores = np.arange(spec.core_count)
    x, y = (per_core(f, len(cores), {"core": cores}) for f in program.positions)
    assert len(set(zip(x.tolist(), y.tolist(), strict=True))) == spec.core_count
    rows, columns = spec.core_grid
    assert x.max() == columns - 1
    assert y.max() == rows - 1
    check_program(program)
    assert load_program(dump_program(program), "p").positions == program.positions


def test_equal_shifts_are_looked_at_once():
    spec = chip(4, 4)
    shifting = Shifting(*cannon(4, 4, 4), (64, 64, 64))
    (one, other), doubled = ring_uses([shifting], spec), ring_uses([shifting, shifting], spec)
    assert [u.load_cycles for u in doubled] == [2 * one.load_cycles, 2 * other.load_cycles]
    assert [u.stride for u in doubled] == [one.stride, other.stride]
    assert one.load_cycles == 3 * 64 / 4  # three shifts of 64 bytes, 4 bytes a cycle
    assert one.hop_cycles == 3  # a cycle each


# Plan and program files


@pytest.fixture(scope="module")
def plan() -> ModelPlan:
    """Matmuls on so few and small cores that pieces rotate."""
    sizes = {"layers": "3", "hidden": "32"}
    model = t10c.build_model("nerf", batch=2, seq=6, overrides=sizes).SerializeToString()
    found = t10c.schedule_model(t10c.import_model(model), chip(3, 4, kib=2))
    assert isinstance(found, ModelPlan)
    return found


def test_a_plan_on_a_mesh_says_where_its_cores_are(plan):
    assert plan.positions is not None
    assert plan.positions == core_positions(plan_shiftings(plan), plan.spec)
    assert load_plan(dump_plan(plan), "plan") == plan
    program = t10c.lower_plan(plan)
    assert program.positions == plan.positions.formulas()
    assert longest_hops(program, plan.spec), "pieces rotate"
    check_program(program)


def test_a_plan_elsewhere_does_not():
    writer = GraphWriter()
    writer.matmul("y", writer.input("x", 8, 8), writer.weight("w", 8, 8))
    found = t10c.schedule_model(writer.graph("y"), load_spec("ipu-mk2"))
    assert found.positions is None
    assert b'"positions"' not in dump_plan(found)
    assert t10c.lower_plan(found).positions is None
    document = json.loads(dump_plan(found))
    document["positions"] = {"width": 1, "height": 1, "digits": []}
    with pytest.raises(InvalidInputError, match="positions: the hardware has no grid"):
        load_plan(json.dumps(document).encode(), "plan")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (None, "positions: is missing"),
        ({"width": 6, "height": 2}, "positions: are on a grid of 6 x 2, the hardware's is 4 x 3"),
        ({"digits": [{"columns": 9, "rows": 1}]}, "a block of 9 x 1 cores is larger"),
        ({"digits": [{"columns": 2, "rows": 1}] * 2}, "x_stride: is 1; it must be 2"),
        ({"digits": [{"columns": 0, "rows": 1}]}, "at least one column and row"),
        ({"width": "4"}, "positions.width: is '4'; it must be a whole number"),
    ],
)
def test_plans_with_other_positions_are_refused(plan, changes, says):
    document = json.loads(dump_plan(plan))
    if changes is None:
        del document["positions"]
    else:
        document["positions"] |= {"digits": []} | changes
    with pytest.raises(InvalidInputError, match=says):
        load_plan(json.dumps(document).encode(), "plan")


@pytest.mark.parametrize(
    ("positions", "says"),
    [
        (["core%3", "core//4"], r"positions: cores 0 and 3 are both at \(0, 0\)"),
        (["core - 1", "0"], r"positions: core 0 is at \(-1, 0\), off any grid"),
        (["core*16777216", "0"], r"positions: core 1 is at \(16777216, 0\), off any grid"),
        (["core", "run"], "positions: unknown name 'run'; known are core"),
        (["core", "core**2"], r"positions, y: 'core\*\*2' has"),
        (["core"], "positions: .* must be a list of 2"),
    ],
)
def test_programs_with_wrong_positions_are_refused(plan, positions, says):
    document = json.loads(dump_program(t10c.lower_plan(plan)))
    document["positions"] = positions
    with pytest.raises(InvalidInputError, match=says):
        check_program(load_program(json.dumps(document).encode(), "p.json"), from_file=True)


def test_programs_without_positions_are_fine(plan):
    check_program(replace(t10c.lower_plan(plan), positions=None))


# What people see


def test_explain_says_where_cores_are_and_how_far_rings_go(plan):
    (line,) = positions_lines(plan)
    assert line.startswith("positions  4 x 3: ")
    document = positions_document(plan)["positions"]
    assert (document["x"], document["y"]) == plan.positions.formulas()
    longest = document["longest_ring_hops"]
    assert longest == max(longest_hops(t10c.lower_plan(plan), plan.spec))
    assert line.endswith(f" {hops_text(longest)}, at {document['longest_ring_operator']}")
    found = {}
    for operator, chosen in zip(plan.graph.planned, plan.operators, strict=True):
        entries = operator_document(plan, operator, chosen)["ring_hops"]
        lines = [line for line in operator_lines(plan, operator, chosen) if "ring: " in line]
        said = sorted(f"at most {hops_text(entry['hops'])} away" for entry in entries)
        assert sorted(line.rpartition(", ")[2] for line in lines) == said
        found[operator.name] = max((entry["hops"] for entry in entries), default=0)
    assert found[document["longest_ring_operator"]] == longest == max(found.values())
    assert "core is at x = " in "\n".join(program_lines(t10c.lower_plan(plan)))


def test_layouts_are_told_in_words():
    digits = (
        PositionDigit(25, 1, 25, 30, 1),
        PositionDigit(30, 1),
        PositionDigit(2, 3, 6, 750, 1),
        PositionDigit(1, 4, 0, 1, 3),
    )
    text = "1500 x 12: x 25 by 30 folded, x 30, 2 x 3 snake by 750, 1 folded, y 4 by 3"
    assert positions_text(CorePositions(1500, 12, digits)) == text
    assert positions_text(row_major(1, 1)) == "1 x 1: one core"
