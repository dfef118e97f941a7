"""The published cost table (docs/cost-model.md), worked by hand for the IPU Mk2."""

import numpy as np
import pytest

from t10c.hardware import kernels, tiles
from t10c.hardware.load import load_spec
from t10c.ir.expression import Axis, Dim, Operand, ScalarStep, TensorExpression

IPU = load_spec("ipu-mk2")
POD = load_spec("ipu-pod4")


def operand(name, *axes):
    return Operand(name, tuple(Dim(((axis, 1),), 1024) for axis in axes))


def expression(kernel, axes, body=(), epilogue=()):
    names = [axis.name for axis in axes]
    kept = [axis.name for axis in axes if not axis.reduction]
    return TensorExpression(
        kernel, tuple(axes), (operand("A", *names),), operand("O", *kept), body, None, epilogue
    )


def test_move_costs_028_cycles_per_byte():
    assert kernels.move_cycles(IPU, 1) == pytest.approx(0.28, rel=1e-12)
    assert kernels.move_cycles(IPU, [100, 1000]) == pytest.approx([28.0, 280.0], rel=1e-12)


def test_doubling_the_link_halves_a_move():
    fast = load_spec("ipu-mk2", ["interconnect.link_bandwidth=11GB/s"])
    assert kernels.move_cycles(fast, 1) == pytest.approx(0.14, rel=1e-12)


def test_sync_and_communication_between_chips():
    assert kernels.sync_cycles(IPU) == 118
    assert kernels.sync_cycles(POD) == 118 * 1.25
    assert kernels.move_cycles(POD, 1000) == pytest.approx(350.0)


@pytest.mark.parametrize(
    ("tile", "cycles"),
    [
        ((1, 6, 16, 16), 24 + 514 + 113 + 173),
        ((1, 7, 16, 16), 24 * 2 + 514 + 113 + 173),  # larger at most 16: m = 7, n = 16
        ((1, 17, 3, 16), 24 * 3 + 514 + 113 + 173),
        ((1, 3, 17, 16), 24 * 3 + 514 + 113 + 173),
        ((1, 16, 1, 16), 24 + 514 + 113 + 173),  # swapped: m = 1, n = 16
        ((1, 48, 32, 17), 24 * 8 * 2 * 2 + 514 * 2 * 2 + 113 * 2 + 173),
        ((5, 6, 16, 16), 5 * (24 + 514 + 113 + 173)),
    ],
)
def test_matmul_tiles(tile, cycles):
    assert kernels.matmul_cycles(IPU, *tile) == cycles


def test_matmul_of_four_byte_elements_has_half_the_depth_per_pass():
    wide = load_spec("ipu-mk2", ["element_type=float32"])
    assert kernels.matmul_cycles(wide, 1, 6, 16, 16) == 48 * 2 + 514 * 2 + 113 + 173


def test_matmul_reaches_64_macs_per_cycle_but_not_more():
    n = 60_000
    rate = n**3 / kernels.matmul_cycles(IPU, 1, n, n, n)
    assert 63.5 < rate <= 64


@pytest.mark.parametrize(
    ("elements", "inputs", "full", "marginal"),
    [
        (100, 1, 250, 50),
        (100, 2, 365, 75),
        (16_432, 2, 8517, 8227),
        (20_000, 2, 10_300, 10_000),
        (20_000, 3, 10_300, 10_000),
        (20_000, 1, 10_200, 10_000),
    ],
)
def test_pointwise(elements, inputs, full, marginal):
    assert kernels.pointwise_cycles(IPU, elements, inputs) == full
    assert kernels.pointwise_marginal_cycles(IPU, elements, inputs) == marginal


@pytest.mark.parametrize(
    ("outputs", "inputs", "cycles"),
    [
        (1, 100, 295.25),
        (3, 4, 1.5 * 16 + 175),  # 3 outputs are worked on as 4
        (13, 4, 1.5 * 64 + 175),  # 13 as 16: 271
        (21, 2, 1.5 * 48 + 175),  # 21 as 24
        (25, 100, 0.25 * 4800 + 175),  # 25 as 48
        (49, 10, 0.25 * 960 + 175),  # 49 as 96
        (1, 480, 295.25),
        (1, 481, 0.25 * 481 + 175),
        (0.5, 2, 1.5 * 2 + 175),
    ],
)
def test_reduce(outputs, inputs, cycles):
    assert kernels.reduce_cycles(IPU, outputs, inputs) == cycles


def test_gather():
    assert kernels.gather_cycles(IPU, 10, 7) == 300 + 10 * 4 + 10


def test_reduction_of_partial_pieces():
    pair = 2 * 118 + 0.28 * 2 * 50 + (0.75 * 50 + 290)
    many = 4 * 118 + 0.28 * 2 * 100 + kernels.reduce_cycles(IPU, 25, 4)
    got = kernels.reduction_cycles(IPU, [1, 2, 4], 100)
    assert got == pytest.approx([0, pair, many])


def test_epilogue_has_no_fixed_part():
    bias = ScalarStep("Add", ("acc", "B"))
    scale = ScalarStep("Mul", ("s0", "0.5"))
    axes = (Axis("m", 4, "m"), Axis("n", 4, "n"), Axis("k", 4, "k", True))
    fused = expression("matmul", axes, epilogue=(bias, scale))
    assert kernels.epilogue_cycles(IPU, fused, [100, 0]) == pytest.approx([75 + 50, 0])
    assert kernels.epilogue_cycles(IPU, expression("matmul", axes), 100) == 0


TILES = {
    "matmul": (
        (Axis("b", 9, "batch"), Axis("m", 9, "m"), Axis("n", 9, "n"), Axis("k", 9, "k", True)),
        (2, 30, 40, 50),
        kernels.matmul_cycles(IPU, 2, 30, 40, 50),
    ),
    "conv": (
        (
            Axis("b", 9, "batch"),
            Axis("g", 9, "group"),
            Axis("o", 9, "out_channel"),
            Axis("h", 9, "out_spatial"),
            Axis("w", 9, "out_spatial"),
            Axis("c", 9, "in_channel", True),
            Axis("kh", 3, "kernel", True),
            Axis("kw", 3, "kernel", True),
        ),
        (2, 3, 8, 5, 6, 4, 3, 2),
        kernels.conv_cycles(IPU, 6, 4, 8, 30, 6),
    ),
    "pool": (
        (
            Axis("n", 9, "parallel"),
            Axis("c", 9, "parallel"),
            Axis("h", 9, "out_spatial"),
            Axis("kh", 3, "kernel", True),
        ),
        (2, 5, 7, 3),
        kernels.pool_cycles(IPU, 10, 7, 3),
    ),
    "reduce": (
        (Axis("i", 9, "parallel"), Axis("r", 9, "reduced", True)),
        (5, 7),
        kernels.reduce_cycles(IPU, 5, 7),
    ),
    "gather": (
        (Axis("i", 9, "index"), Axis("t", 9, "table"), Axis("e", 9, "element")),
        (3, 4, 7),
        kernels.gather_cycles(IPU, 3, 7),
    ),
}


@pytest.mark.parametrize("kernel", TILES)
def test_tile_dispatches_on_roles(kernel):
    axes, tile, cycles = TILES[kernel]
    one = expression(kernel, axes)
    assert tiles.tile_cycles(IPU, one, tile) == cycles
    many = tiles.tile_cycles(IPU, one, np.array([tile, tile, np.ones_like(tile)]))
    assert many.shape == (3,)
    assert many.dtype == np.float64
    assert many[1] == cycles


def test_pointwise_chain_pays_one_fixed_part():
    body = (ScalarStep("Add", ("A", "B")), ScalarStep("Relu", ("s0",)))
    axes = (Axis("i", 9, "parallel"), Axis("j", 9, "parallel"))
    got = tiles.tile_cycles(IPU, expression("pointwise", axes, body), (4, 5))
    assert got == (0.75 * 20 + 290) + 0.5 * 20


def test_rowwise_chain():
    body = (
        ScalarStep("ReduceMax", ("A",), rows=True),
        ScalarStep("Sub", ("A", "s0")),
        ScalarStep("Reciprocal", ("s0",), rows=True),
    )
    axes = (Axis("i", 9, "parallel"), Axis("j", 9, "normalised"))
    got = tiles.tile_cycles(IPU, expression("rowwise", axes, body), (4, 10))
    assert got == (1.5 * 40 + 175) + (0.75 * 40 + 290) + (0.5 * 4 + 200)


def test_tile_of_wrong_width_is_refused():
    axes, tile, _ = TILES["reduce"]
    with pytest.raises(ValueError, match="2 axes"):
        tiles.tile_cycles(IPU, expression("reduce", axes), (*tile, 1))


def test_a_one_by_one_convolution_is_at_most_its_matmul():
    assert kernels.conv_cycles(IPU, 1, 256, 64, 256, 1) == kernels.matmul_cycles(
        IPU, 1, 256, 64, 256
    )


def test_roofline_rounds_up_to_the_matrix_unit():
    mesh = load_spec("tenstorrent-wormhole-like")
    assert kernels.matmul_cycles(mesh, 2, 33, 32, 1) == 2 * 64 * 32 * 32 / 512 + 200
    assert kernels.conv_cycles(mesh, 1, 4, 32, 32, 9) == 32 * 32 * 64 / 512 + 200
    assert kernels.pool_cycles(mesh, 4, 8, 9) == 288 / 32 + 200
    assert kernels.pointwise_cycles(mesh, 64, 2) == 202
    assert kernels.pointwise_marginal_cycles(mesh, 64, 2) == 2
    assert kernels.reduce_cycles(mesh, 4, 16) == 202
    assert kernels.gather_cycles(mesh, 3, 64) == 3 * 12 + 200


def test_unexpected_peak_binds_a_fit():
    slow = load_spec("ipu-mk2", ["kernels.conv.coefficients.peak_macs_per_cycle=1"])
    assert kernels.conv_cycles(slow, 1, 64, 64, 100, 9) == 64 * 64 * 100 * 9
