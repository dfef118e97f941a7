"""Random programs to simulate: one operator by any plan, tile by tile, or a copy; and chips."""

import math
import random
from dataclasses import replace

from planned_graphs import chip
from random_expressions import KINDS, draw_expression
from random_plans import draw_case
from test_simulate_pull import factorised, random_view

from t10c.baselines.program import lower_vgm
from t10c.baselines.result import VgmMemory, VgmOperatorPlan, VgmPlan
from t10c.baselines.search import Tiling
from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import Dim, TensorExpression
from t10c.ir.graph import Graph, LayoutOp, Operator, Tensor, with_widths
from t10c.ir.program import (
    Allocate,
    Buffer,
    Exchange,
    Free,
    Load,
    Move,
    Piece,
    Program,
    Range,
    Section,
    Store,
)

MOST_CORES = 16

TOPOLOGIES = {
    "all-to-all": ("all-to-all", 1),
    "mesh2d": ("mesh2d", 1),
    "torus2d": ("torus2d", 1),
    "three chips": ("all-to-all", 3),
    "two chips of meshes": ("mesh2d", 2),
}
"""Kind of the interconnect and number of chips, by name."""


def on_topology(spec: HardwareSpec, name: str) -> HardwareSpec:
    """The same cores as another network, with links between chips that are slow."""
    kind, count = TOPOLOGIES[name]
    rows = max(r for r in range(1, 5) if spec.core_count % r == 0)
    return replace(
        spec,
        core_grid=None if kind == "all-to-all" else (rows, spec.core_count // rows),
        interconnect=replace(spec.interconnect, kind=kind, hop_latency_cycles=3.0),
        chips=replace(
            spec.chips,
            count=count,
            link_bandwidth_bytes_per_second=2e9,
            communication_factor=1.25,
        ),
    )


def shifting(seed: int, topology: str, overlap: bool) -> tuple[Program, HardwareSpec] | None:
    """One operator by a random plan, weights cut further while idle; None if it has many cores.

    With overlap every other chip moves data so slowly that shifts outlast a step.
    """
    case = draw_case(seed)
    if case.spec.core_count > MOST_CORES:
        return None
    spec = replace(on_topology(case.spec, topology), overlap_shift_compute=overlap)
    if overlap and seed % 2:
        slow = replace(spec.interconnect, cycles_per_byte=8.0)
        spec = replace(spec, interconnect=slow)
    return replace(case, spec=spec).program(), spec


def tiled(seed: int, topology: str) -> tuple[Program, HardwareSpec]:
    """One operator tile by tile, all tensors being spread evenly: exchanges within loops."""
    rng = random.Random(seed)
    drawn = draw_expression(KINDS[seed % len(KINDS)], rng)
    expression = drawn.expression
    spec = on_topology(chip(rng.choice([2, 3, 4, 8, 12]), 2**12), topology)
    names = {o.name: o.name for o in expression.inputs} | {expression.output.name: "out"}
    tensors = tuple(
        Tensor(
            name,
            tuple(dim.size for dim in operand.dims),
            drawn.element_types[operand.name],
            "activation" if name == "out" else "input",
        )
        for operand, name in zip(expression.operands, names.values(), strict=True)
    )
    fed = tuple(t.name for t in tensors[:-1])
    operators = with_widths([Operator("one", "", expression, fed, "out", ())], tensors)
    (operator,) = operators
    assert isinstance(operator, Operator)
    graph = Graph("one", tensors, fed, ("out",), operators, (), 0, 0, "")
    tiling = _tiling(operator.expression, spec.core_count, rng)
    planned = VgmOperatorPlan("one", 0, tiling, VgmMemory(0, 0, 0))
    return lower_vgm(VgmPlan(graph, spec, (planned,), (), (operator.expression,), 0, 0)), spec


def _tiling(expression: TensorExpression, cores: int, rng: random.Random) -> Tiling:
    """Random blocks and tiles; loops over axes of the output are the outer ones."""
    split, rounds = [], []
    for axis in expression.axes:
        most = min(axis.length, cores // math.prod(split)) if axis.splittable else 1
        split.append(rng.randint(1, most))
        block = math.ceil(axis.length / split[-1])
        few = min(block, 4, 24 // math.prod(rounds)) if axis.splittable else 1
        rounds.append(rng.randint(1, max(1, few)))
    own = set(expression.output.axes)
    loops = [i for i, count in enumerate(rounds) if count > 1]
    rng.shuffle(loops)
    loops.sort(key=lambda i: expression.axes[i].name not in own)
    return Tiling(tuple(split), tuple(rounds), tuple(loops), (), 0, 0, 0, 0, 0, 0)


def random_piece(rng: random.Random, shape: tuple[int, ...], cores: int) -> Piece:
    """A tensor in blocks, copied if there are cores left; or a run of its elements on each core."""
    size = math.prod(shape)
    if rng.random() < 0.4:
        length = math.ceil(size / rng.randint(1, cores))
        run = Range("element", f"core*{length}", length, (f"{size}",))
        return Piece(math.ceil(size / length), (), (run,), flat=True)
    used, ranges, dims = 1, [], []
    for d, n in enumerate(shape):
        factor = rng.randint(1, min(n, cores // used))
        length = math.ceil(n / factor)
        ranges.append(Range(f"d{d}", f"core//{used}%{factor}*{length}", length, (f"{n}",)))
        dims.append(Dim(((f"d{d}", 1),), n))
        used *= factor
    copies = rng.randint(1, cores // used)
    ranges.append(Range("replica", f"core//{used}%{copies}", 1))
    return Piece(used * copies, tuple(dims), tuple(ranges))


def through_views(seed: int, topology: str) -> tuple[Program, HardwareSpec]:
    """One exchange that makes a tensor, which is a view of a view of one or two others."""
    rng = random.Random(seed)
    view, shapes, shape = random_view(rng)
    spec = on_topology(chip(rng.choice([2, 3, 4, 6, 8]), 2**12), topology)
    flat = factorised(rng, math.prod(shape))
    last = LayoutOp("w", "reshape", "reshape", ("v",), "w", ())
    if rng.random() < 0.5:
        order = rng.sample(range(len(shape)), len(shape))
        flat = tuple(shape[d] for d in order)
        last = LayoutOp("w", "transpose", "transpose", ("v",), "w", (), perm=tuple(order))
    tensors = [
        Tensor(name, s, "float16", kind)
        for name, s, kind in zip(
            (*view.inputs, "v", "w"),
            (*shapes, shape, flat),
            (*("input" for _ in shapes), "activation", "activation"),
            strict=True,
        )
    ]
    pieces = {t.name: random_piece(rng, t.shape, spec.core_count) for t in tensors if t.name != "v"}
    homes = {n: Buffer(n, n, p, math.prod(p.shape), 16) for n, p in pieces.items()}
    sources = tuple(view.inputs)
    target = homes.pop("w")
    body = (Allocate(target), Exchange("copy", (Move("w", "w", sources),)), Free("w"))
    begin = [i for home in homes.values() for i in (Allocate(home), Load(home.name))]
    return Program(
        name="views",
        core_count=spec.core_count,
        core_bytes=spec.usable_bytes,
        reserved_bytes=0,
        element_bits=16,
        tensors=tuple(tensors),
        inputs=sources,
        outputs=sources[:1],
        kernels=(),
        views=(view, last),
        load=Section("load", "", (), ()),
        begin=Section("begin", "", (), tuple(begin)),
        sections=(Section("copy", "Copy", (), body),),
        end=Section("end", "", (), (Store(sources[0], sources[:1]), *map(Free, homes))),
    ), spec
