"""Kernel costs behave for any tile: positive, monotone in every dimension, within the peak."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t10c.hardware import kernels
from t10c.hardware.load import load_spec, preset_names

IPU = load_spec("ipu-mk2")
SPECS = [load_spec(name) for name in preset_names()]
size = st.one_of(st.integers(1, 20), st.integers(1, 5000))


def tiles(dimensions):
    return st.lists(size, min_size=dimensions, max_size=dimensions)


def assert_monotone(cost, tile, axis, step):
    grown = list(tile)
    grown[axis] += step
    small, large = float(cost(*tile)), float(cost(*grown))
    assert small > 0
    assert large >= small * (1 - 1e-12)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
@given(tile=tiles(5), axis=st.integers(0, 4), step=size)
def test_conv_is_positive_and_monotone(spec, tile, axis, step):
    assert_monotone(lambda *t: kernels.conv_cycles(spec, *t), tile, axis, step)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
@given(tile=tiles(3), axis=st.integers(0, 2), step=size)
def test_pool_is_positive_and_monotone(spec, tile, axis, step):
    assert_monotone(lambda *t: kernels.pool_cycles(spec, *t), tile, axis, step)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
@given(tile=tiles(4), axis=st.integers(0, 3), step=size)
def test_matmul_is_positive_and_monotone(spec, tile, axis, step):
    assert_monotone(lambda *t: kernels.matmul_cycles(spec, *t), tile, axis, step)


@given(tile=tiles(5))
def test_conv_stays_within_the_peak_rate(tile):
    assert np.prod(tile, dtype=float) / kernels.conv_cycles(IPU, *tile) <= 64 * (1 + 1e-12)


@given(tile=tiles(4))
def test_matmul_stays_within_the_peak_rate(tile):
    assert np.prod(tile, dtype=float) / kernels.matmul_cycles(IPU, *tile) <= 64


@given(elements=size, inputs=st.integers(1, 4))
def test_marginal_pointwise_is_at_most_the_full_cost(elements, inputs):
    marginal = kernels.pointwise_marginal_cycles(IPU, elements, inputs)
    assert 0 < marginal < kernels.pointwise_cycles(IPU, elements, inputs)


@given(q=st.integers(1, 64), elements=size)
def test_reduction_is_free_only_without_partial_pieces(q, elements):
    cycles = float(kernels.reduction_cycles(IPU, q, elements))
    assert (cycles == 0) == (q == 1)
    assert cycles >= 0


@given(rows=st.lists(tiles(5), min_size=1, max_size=8))
def test_arrays_equal_one_tile_at_a_time(rows):
    columns = np.array(rows).T
    together = kernels.conv_cycles(IPU, *columns)
    assert together.tolist() == [float(kernels.conv_cycles(IPU, *row)) for row in rows]
