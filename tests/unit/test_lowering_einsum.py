"""Einsum: every equation against NumPy's, and what it becomes."""

import numpy as np
import pytest
from graph_numpy import check
from onnx_models import model, node, value

from t10c.errors import UnsupportedOperatorError
from t10c.ir.expression import TensorExpression
from t10c.onnx_import.attributes import LoweringError
from t10c.onnx_import.importer import import_model
from t10c.onnx_import.lowering.einsum import parse_equation


def einsum(equation: str, *shapes: tuple[int, ...]) -> list[TensorExpression]:
    names = [f"x{index}" for index in range(len(shapes))]
    rng = np.random.default_rng(1)
    feeds = {
        n: rng.standard_normal(s).astype(np.float32) for n, s in zip(names, shapes, strict=True)
    }
    made = model(
        [node("Einsum", " ".join(names), "y", "e", equation=equation)],
        [value(name, shape) for name, shape in zip(names, shapes, strict=True)],
        ["y"],
    )
    wanted = np.einsum(equation, *feeds.values())
    graph = check(made, feeds=feeds, expected=[np.asarray(wanted)])
    assert graph.node_counts()["fallback"] == 0
    return [op.expression for op in graph.planned]


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(3, 4), (4, 5)]),
        ("ij,jk", [(3, 4), (4, 5)]),
        ("bij, bkj -> bki", [(2, 3, 4), (2, 5, 4)]),
        ("bqhd,bkhd->bhqk", [(2, 3, 4, 5), (2, 6, 4, 5)]),
        ("bhqk,bkhd->bqhd", [(2, 4, 3, 6), (2, 6, 4, 5)]),
        ("...ij,...jk->...ik", [(2, 1, 3, 4), (2, 7, 4, 5)]),
        ("i...,i...", [(3, 2), (3, 2)]),
        ("a...b,b->...a", [(3, 2, 5, 4), (4,)]),
        ("i,i->", [(4,), (4,)]),
        ("ij,ij->i", [(3, 4), (3, 4)]),
        ("abcd,cdef->abef", [(2, 3, 4, 5), (4, 5, 3, 2)]),
        ("bij,jk->bik", [(2, 1, 4), (4, 5)]),
        ("bixx,xj->ij", [(2, 3, 4, 4), (4, 5)]),
        ("ijj,jk->ikj", [(2, 4, 4), (4, 3)]),
        ("ij,kl->ik", [(2, 3), (4, 5)]),
    ],
)
def test_contraction_of_two_is_one_matmul(equation: str, shapes: list[tuple[int, ...]]) -> None:
    kernels = [e.kernel for e in einsum(equation, *shapes)]
    summed = sum(kernel == "reduce" for kernel in kernels)
    assert len(kernels) == summed + 1
    assert kernels[-1] == (
        "matmul" if equation not in ("ijj,jk->ikj", "ij,kl->ik") else "pointwise"
    )


def test_roles_follow_membership() -> None:
    (product,) = einsum("bqhd,bkhd->bhqk", (2, 3, 4, 5), (2, 6, 4, 5))
    roles = {(axis.role, axis.length) for axis in product.axes}
    assert roles == {("batch", 2), ("batch", 4), ("m", 3), ("n", 6), ("k", 5)}


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("i,j->ij", [(3,), (4,)]),
        ("ij,ji->ji", [(3, 4), (4, 3)]),
        ("...i,i->...i", [(2, 3, 4), (4,)]),
        ("i,->i", [(3,), ()]),
        ("ij,kj->ik", [(3, 1), (5, 4)]),
    ],
)
def test_product_without_sum_is_pointwise(equation: str, shapes: list[tuple[int, ...]]) -> None:
    kernels = [e.kernel for e in einsum(equation, *shapes)]
    assert [kernel for kernel in kernels if kernel != "reduce"] == ["pointwise"]


@pytest.mark.parametrize(
    ("equation", "shape", "kernels"),
    [
        ("ij->ji", (3, 4), []),
        ("ij->ij", (3, 4), []),
        ("ba", (3, 4), []),
        ("i...j->j...i", (3, 1, 2, 4), []),
        ("iij->ji", (3, 3, 4), []),
        ("iii->i", (3, 3, 3), []),
        ("ii->", (3, 3), ["reduce"]),
        ("ij->", (3, 4), ["reduce"]),
        ("ijk->ki", (3, 4, 5), ["reduce"]),
        ("...i->...", (3, 4, 5), ["reduce"]),
        ("ijkl->lj", (1, 4, 5, 2), ["reduce"]),
    ],
)
def test_one_operand_is_moved_or_reduced(
    equation: str, shape: tuple[int, ...], kernels: list[str]
) -> None:
    assert [e.kernel for e in einsum(equation, shape)] == kernels


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ab,bc,cd->ad", [(2, 9), (9, 8), (8, 3)]),
        ("abc,cd,de->abe", [(2, 3, 4), (4, 5), (5, 6)]),
        ("i,j,k->kij", [(2,), (3,), (4,)]),
        ("ij,jk,kl,lm->im", [(2, 3), (3, 4), (4, 5), (5, 6)]),
        ("bi,bj,ij->b", [(4, 2), (4, 3), (2, 3)]),
        ("ii,ij,jj->", [(3, 3), (3, 4), (4, 4)]),
        ("a,a,a", [(3,), (3,), (3,)]),
    ],
)
def test_several_operands_in_pairs(equation: str, shapes: list[tuple[int, ...]]) -> None:
    kernels = [e.kernel for e in einsum(equation, *shapes)]
    assert len([k for k in kernels if k != "reduce"]) <= len(shapes) - 1


def test_smallest_intermediate_first() -> None:
    products = einsum("ab,bc,cd->ad", (2, 9), (9, 8), (8, 3))
    assert products[0].points == 2 * 9 * 8  # ab,bc leaves 2 x 8, bc,cd would leave 9 x 3
    assert products[1].points == 2 * 8 * 3


def test_implicit_result_is_sorted_after_the_ellipsis() -> None:
    found = parse_equation("b...a,a", (4, 1))
    assert found.operands == (("b", "...0", "...1", "a"), ("a",))
    assert found.result == ("...0", "...1", "b")


@pytest.mark.parametrize(
    ("equation", "ranks"), [("ij,jk->ik", (2,)), ("ij->i", (3,)), ("ijk->i", (2,))]
)
def test_equation_that_does_not_fit(equation: str, ranks: tuple[int, ...]) -> None:
    with pytest.raises(LoweringError):
        parse_equation(equation, ranks)


def test_lengths_that_do_not_match_are_no_contraction() -> None:
    made = model(
        [node("Einsum", "a b", "y", "e", equation="ij,jk->ik")],
        [value("a", [2, 3]), value("b", [4, 5])],
        [value("y", [2, 5])],
    )
    with pytest.raises(UnsupportedOperatorError, match="label 'j' stands for both 3 and 4"):
        import_model(made.SerializeToString())
