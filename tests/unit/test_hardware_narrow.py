"""Products of narrow operands: kernel families of their own, and steps beside the product."""

from dataclasses import replace

import numpy as np
import pytest

from t10c.errors import InvalidSpecError
from t10c.hardware import kernels
from t10c.hardware.document import from_document, spec_hash, to_document
from t10c.hardware.load import load_spec, load_spec_file
from t10c.hardware.tiles import tile_cycles
from t10c.ir.expression import Axis, Dim, Operand, ScalarStep, TensorExpression
from t10c.report.hardware import rows
from t10c.search import search_operator
from t10c.search.templates import named_expression

IPU = load_spec("ipu-mk2")

NARROW = """
extends: ipu-mk2
name: narrow
kernels:
  matmul_int8:
    form: tiled
    coefficients:
      group_cycles_per_byte: 12
      m_group: 6
      n_group: 16
      k_group_bytes: 32
      load_cycles: 300
      column_cycles: 113
      fixed_cycles: 173
      swap_at: 16
    source: "what if: loads in fewer cycles"
  conv_int8:
    form: roofline
    coefficients: {macs_per_cycle: 256, granule: 4, fixed: 100}
    source: "what if: four times the peak"
"""


@pytest.fixture
def narrow(tmp_path):
    """An IPU with kernels for narrow integers."""
    file = tmp_path / "narrow.yaml"
    file.write_text(NARROW)
    return load_spec_file(file)


def stored(expression: TensorExpression, *bits: int) -> TensorExpression:
    """The expression with inputs of these widths."""
    inputs = zip(expression.inputs, bits, strict=True)
    return replace(expression, inputs=tuple(replace(o, bits=b) for o, b in inputs))


MATMUL = named_expression("matmul", {"m": 64, "n": 32, "k": 96})
TILE = (60, 32, 64)


def conv(stride: int = 1) -> TensorExpression:
    """O[h,o] += I[stride*h+k,c] * K[o,c,k]."""
    h, o = Axis("h", 12, "out_spatial"), Axis("o", 8, "out_channel")
    c, k = Axis("c", 4, "in_channel", reduction=True), Axis("k", 3, "kernel", reduction=True)
    image = Operand("I", (Dim((("h", stride), ("k", 1)), 11 * stride + 3), plain(c)))
    weight = Operand("K", (plain(o), plain(c), plain(k)))
    body = (ScalarStep("Mul", ("I", "K")),)
    output = Operand("O", (plain(h), plain(o)))
    return TensorExpression("conv", (h, o, c, k), (image, weight), output, body, "sum")


def plain(axis: Axis) -> Dim:
    return Dim(((axis.name, 1),), axis.length)


def test_only_products_of_two_narrow_operands_are_narrow():
    assert stored(MATMUL, 8, 8).narrow_product
    assert stored(MATMUL, 4, 8).narrow_product
    assert stored(conv(), 8, 2).narrow_product
    for bits in ((0, 8), (8, 0), (16, 8), (8, 16), (0, 0)):
        assert not stored(MATMUL, *bits).narrow_product
    pointwise = named_expression("pointwise", {"d0": 4})
    assert not stored(pointwise, 8, 8).narrow_product


def test_a_user_s_file_gives_the_integer_kernels_cost(narrow):
    """K = ceil(64 / 32) groups of one-byte elements."""
    depth, columns, row_groups = 2, 2, 10
    by_hand = columns * ((12 * row_groups + 300) * depth + 113) + 173
    assert tile_cycles(narrow, stored(MATMUL, 8, 8), TILE) == by_hand
    assert tile_cycles(narrow, stored(MATMUL, 8, 0), TILE) == tile_cycles(IPU, MATMUL, TILE)
    assert tile_cycles(narrow, MATMUL, TILE) == tile_cycles(IPU, MATMUL, TILE)
    points = 12 * 8 * 4 * 3
    assert tile_cycles(narrow, stored(conv(), 8, 8), (12, 8, 4, 3)) == points / 256 + 100
    assert tile_cycles(narrow, conv(), (12, 8, 4, 3)) == tile_cycles(IPU, conv(), (12, 8, 4, 3))
    fast, slow = (search_operator(stored(MATMUL, 8, 8), spec).front for spec in (narrow, IPU))
    assert min(e.cycles for e in fast) < min(e.cycles for e in slow)


def test_without_such_a_kernel_the_ordinary_one_stands_in():
    for expression, tile in ((MATMUL, TILE), (conv(), (12, 8, 4, 3))):
        assert tile_cycles(IPU, stored(expression, 8, 8), tile) == tile_cycles(
            IPU, expression, tile
        )
    assert kernels.product_family(IPU, "matmul", narrow=True) == "matmul"


def test_a_narrow_pointlike_convolution_costs_at_most_its_matmul(narrow):
    fitted = replace(
        narrow,
        kernels=tuple(
            (name, IPU.kernel("conv") if name == "conv_int8" else model)
            for name, model in narrow.kernels
        ),
    )
    shape = (1, 256, 64, 256, 1)
    found = kernels.conv_cycles(fitted, *shape, narrow=True)
    assert found == kernels.matmul_cycles(narrow, 1, 256, 64, 256, narrow=True)
    assert found < kernels.conv_cycles(fitted, *shape)


def test_specifications_with_them_survive_documents_and_are_shown(narrow):
    assert from_document(to_document(narrow)) == narrow
    assert spec_hash(narrow) != spec_hash(IPU)
    shown = {row.key: row for row in rows(narrow)}
    assert shown["kernels.matmul_int8.coefficients.load_cycles"].source.startswith("what if")
    assert "matmul_int8" not in dict(IPU.kernels)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("      swap_at: 16\n", "", "kernels.matmul_int8.coefficients.swap_at: is missing"),
        ("swap_at", "swap_it", "did you mean"),
        ("form: tiled", "form: fit", "kernels.matmul_int8.form: 'fit' is not allowed"),
        ("conv_int8", "pool_int8", "pool_int8"),
        ('    source: "what if: four times the peak"\n', "", "has no source"),
    ],
)
def test_errors_in_them_are_named(tmp_path, old, new, message):
    file = tmp_path / "narrow.yaml"
    assert old in NARROW
    file.write_text(NARROW.replace(old, new))
    with pytest.raises(InvalidSpecError, match=message.replace(".", r"\.")):
        load_spec_file(file)


# Steps beside the product


def dequantised(*steps: ScalarStep) -> TensorExpression:
    """A matmul with a scale per column of B."""
    scale = Operand("F0", (Dim((("n", 1),), 32),), fused=True)
    return replace(MATMUL, inputs=(*MATMUL.inputs, scale), body=steps)


def test_steps_before_the_product_cost_their_operand_s_elements():
    """B is k x n = 64 x 32 elements of the tile, in every compute step."""
    bare = tile_cycles(IPU, MATMUL, TILE)
    body = (
        ScalarStep("Sub", ("B", "8")),
        ScalarStep("Mul", ("s0", "F0")),
        ScalarStep("Mul", ("A", "s1")),
    )
    elements = 64 * 32
    steps = float(
        kernels.pointwise_marginal_cycles(IPU, elements, 1)
        + kernels.pointwise_marginal_cycles(IPU, elements, 2)
    )
    assert tile_cycles(IPU, dequantised(*body), TILE) == pytest.approx(bare + steps)
    other = (ScalarStep("Mul", ("A", "2.0")), ScalarStep("Mul", ("s0", "B")))
    one = float(kernels.pointwise_marginal_cycles(IPU, 60 * 64, 1))
    assert tile_cycles(IPU, dequantised(*other), TILE) == pytest.approx(bare + one)


def test_steps_after_the_product_cost_every_point():
    body = (ScalarStep("Mul", ("A", "B")), ScalarStep("Mul", ("s0", "F0")))
    more = float(kernels.pointwise_marginal_cycles(IPU, 60 * 32 * 64, 2))
    found = tile_cycles(IPU, dequantised(*body), TILE)
    assert found == pytest.approx(tile_cycles(IPU, MATMUL, TILE) + more)


@pytest.mark.parametrize(("stride", "rows_read"), [(1, 14), (2, 25), (3, 36), (5, 36)])
def test_a_sliding_operand_counts_what_its_windows_touch(stride, rows_read):
    """12 windows of 3: stride 5 leaps over two elements between them."""
    plainly = conv(stride)
    body = (ScalarStep("Sub", ("I", "7")), ScalarStep("Mul", ("s0", "K")))
    tile = (12, 8, 4, 3)
    more = tile_cycles(IPU, replace(plainly, body=body), tile) - tile_cycles(IPU, plainly, tile)
    assert more == pytest.approx(float(kernels.pointwise_marginal_cycles(IPU, rows_read * 4, 1)))


def test_the_bound_holds_with_steps_beside_the_product():
    """Also where few elements are touched per point: strides, and tiles of one column."""
    step = (ScalarStep("Sub", ("I", "7")), ScalarStep("Mul", ("s0", "K")))
    for stride in (1, 2, 5):
        expression = replace(conv(stride), body=step)
        long = replace(expression, axes=(replace(expression.axes[0], length=90), *conv().axes[1:]))
        for case in (expression, long):
            found = search_operator(case, replace(IPU, core_count=40))
            assert found.record.lower_bound_cycles <= min(e.cycles for e in found.front)


def test_many_tiles_at_once_are_priced_as_each_alone():
    body = (ScalarStep("Sub", ("B", "8")), ScalarStep("Mul", ("A", "s0")))
    many = np.array([TILE, (1, 1, 1), (64, 32, 96)])
    expression = dequantised(*body)
    assert tile_cycles(IPU, expression, many).tolist() == [
        float(tile_cycles(IPU, expression, tile)) for tile in many
    ]
