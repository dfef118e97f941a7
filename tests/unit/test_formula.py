"""Formulas against Python's own arithmetic, and the simplifications of `Terms` against none."""

import ast
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t10c.ir.formula import (
    NUMBER_LIMIT,
    FormulaError,
    Terms,
    evaluate,
    named,
    names,
    parse,
    total,
    whole,
)

NAMES = ("core", "c_m", "o0", "run")


@st.composite
def texts(draw, depth: int = 4) -> str:
    """A random formula, with brackets wherever they are needed or not."""
    if depth == 0 or draw(st.integers(0, 4)) == 0:
        return draw(st.one_of(st.sampled_from(NAMES), st.integers(0, 1000).map(str)))
    kind = draw(st.sampled_from(["+", "-", "*", "//", "%", "minus", "brackets"]))
    left = draw(texts(depth=depth - 1))
    if kind == "minus":
        return f"-{left}"
    if kind == "brackets":
        return f"({left})"
    right = str(draw(st.integers(1, 50))) if kind in ("//", "%") else draw(texts(depth=depth - 1))
    space = draw(st.sampled_from(["", " "]))
    return f"({left}){space}{kind}{space}({right})" if kind in "+-*" else f"({left}){kind}{right}"


values = st.fixed_dictionaries({name: st.integers(-50, 5000) for name in NAMES})


@given(texts(), values)
def test_a_formula_is_what_python_makes_of_it(text, given_values):
    expected = eval(text, {"__builtins__": {}}, dict(given_values))
    assert evaluate(text, given_values) == expected
    assert names(text) == {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}


@given(texts(), st.integers(-9, 99))
def test_all_cores_at_once(text, run):
    cores = np.arange(24, dtype=np.int64)
    at_once = {"core": cores, "c_m": cores // 4 % 3, "o0": (cores + 1) % 5, "run": run}
    result = np.broadcast_to(evaluate(text, at_once), cores.shape)
    for core in range(24):
        one = {"core": core, "c_m": core // 4 % 3, "o0": (core + 1) % 5, "run": run}
        assert result[core] == evaluate(text, one)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "core +", "a b", "core)", "1 2", "core;core", "\x00", "1\n+2", "#"),
        *("core**2", "core/2", "core@core", "core<<1", "core&1", "~core", "+core", "not core"),
        *("core//0", "core%0", "core//-1", "core//c_m", "core%(1+1)", "core//1.5", "core//True"),
        *("1.5", "1e3", "1j", "True", "None", "'core'", "b'1'", "...", f"{NUMBER_LIMIT + 1}"),
        *("core()", "core.real", "core[0]", "[core]", "(core, 1)", "{core}", "core if core else 1"),
        *("core < 3", "core and 1", "lambda: 1", "(core := 3)", "f'{core}'", "[x for x in core]"),
        *("1or 2", "'\\d'", "__import__('os')", "await core", "*core", "x=1"),
        *("(" * 9000 + "1" + ")" * 9000, "-" * 9000 + "1", "+".join(["core"] * 3000)),
        *("core+" * 9000 + "1", "1" * 5000, "core*" + "9" * 30),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_formula_is_refused_in_one_line(text, recwarn):
    with pytest.raises(FormulaError) as caught:
        parse(text)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 300
    assert not recwarn.list


def test_an_unknown_name_is_named():
    with pytest.raises(FormulaError, match=r"unknown name 'c_k'; known are c_m, core"):
        evaluate("core + c_k", {"core": 1, "c_m": 2})


def test_sums_of_many_terms_are_formulas():
    text = " + ".join(f"core//{n}%2*{n}" for n in range(1, 201))
    core = 12345
    assert evaluate(text, {"core": core}) == sum(core // n % 2 * n for n in range(1, 201))


# Terms


@st.composite
def built(draw, depth: int = 4) -> tuple[Terms, str, dict[str, int]]:
    """Terms, the same with every bracket and nothing simplified, and the bounds of its names."""
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        if draw(st.booleans()):
            number = draw(st.integers(0, 12))
            return whole(number), str(number), {}
        name = draw(st.sampled_from(["a", "b", "c", "run"]))
        bound = {"a": 2, "b": 3, "c": 4, "run": 0}[name]
        return named(name, bound), name, {name: bound}
    terms, text, bounds = draw(built(depth=depth - 1))
    kind = draw(st.sampled_from(["+", "+", "+n", "*", "//", "%", "sum"]))
    number = draw(st.integers(0 if kind in ("+n", "*") else 1, 9))
    match kind:
        case "+n":
            return terms + number, f"({text} + {number})", bounds
        case "*":
            return terms * number, f"({text} * {number})", bounds
        case "//":
            return terms // number, f"({text} // {number})", bounds
        case "%":
            return terms % number, f"({text} % {number})", bounds
    other, other_text, more = draw(built(depth=depth - 1))
    made = terms + other if kind == "+" else total([terms, other])
    return made, f"({text} + {other_text})", {**bounds, **more}


def small_values(bounds: dict[str, int]) -> Iterator[dict[str, int]]:
    """All values that names with these bounds can have; without a bound, some."""
    everything: list[dict[str, int]] = [{}]
    for name, bound in bounds.items():
        choices = range(bound) if bound else (0, 1, 2, 7, 30)
        everything = [{**known, name: n} for known in everything for n in choices]
    yield from everything


@given(built())
def test_simplified_terms_have_the_value_of_unsimplified_ones(made):
    terms, text, bounds = made
    for values in small_values(bounds):
        expected = eval(text, {"__builtins__": {}}, values)
        assert evaluate(str(terms), values) == expected
        if terms.number is not None:
            assert terms.number == expected
        if terms.bound:
            assert 0 <= expected < terms.bound


def test_the_obvious_is_simplified():
    core, c = named("core", 12), named("c", 4)
    assert str(core // 4 % 3) == "core//4"
    assert str(core // 12) == "0"
    assert str(core % 12) == "core"
    assert str(core // 2 % 3) == "core//2%3"
    assert str(c * 0 + core * 1 + 0) == "core"
    assert str((c + 3) % 4) == "(c + 3)%4"
    assert str((c + core) * 2) == "(c + core)*2"
    assert str((c * 3 + 2) // 12) == "0"
    assert str(whole(7) % 4 + c) == "3 + c"
    assert str(named("run") % 1) == "0"
    assert str(named("run") * 5 % 3) == "run*5%3"
