"""Boxes of views as boxes of their inputs, against element numbers moved by the view itself."""

import math
from random import Random

import numpy as np
import pytest

from t10c.ir.graph import LayoutOp
from t10c.program.views import moved
from t10c.simulate.boxes import Boxes
from t10c.simulate.pull import pulled

NOWHERE = -1


def random_boxes(random: Random, shape: tuple[int, ...], cores: int) -> Boxes:
    low = np.zeros((cores, len(shape)), dtype=np.int64)
    high = np.zeros_like(low)
    for core in range(cores):
        if random.random() < 0.15:
            continue
        for d, size in enumerate(shape):
            a, b = sorted((random.randint(0, size), random.randint(0, size)))
            if random.random() < 0.4:
                a, b = 0, size
            low[core, d], high[core, d] = (a, b) if a < b else (max(0, a - 1), max(1, a))
    return Boxes(shape, low, high)


def elements(boxes: Boxes, core: int, numbers: np.ndarray) -> list[int]:
    bounds = zip(boxes.low[core], boxes.high[core], strict=True)
    return numbers[tuple(slice(a, b) for a, b in bounds)].reshape(-1).tolist()


def factorised(random: Random, size: int) -> tuple[int, ...]:
    dims = []
    while size > 1:
        divisors = [d for d in range(2, size + 1) if size % d == 0]
        dims.append(random.choice(divisors))
        size //= dims[-1]
        if random.random() < 0.2:
            dims.append(1)
    return tuple(dims) or (1,)


def random_view(random: Random) -> tuple[LayoutOp, list[tuple[int, ...]], tuple[int, ...]]:
    kind = random.choice(["reshape", "transpose", "slice", "expand", "pad", "concat"])
    shape = tuple(random.choice([1, 2, 3, 4, 6]) for _ in range(random.randint(1, 3)))
    shapes, more = [shape], {}
    if kind == "reshape":
        out = factorised(random, math.prod(shape))
    elif kind == "transpose":
        perm = list(range(len(shape)))
        random.shuffle(perm)
        more["perm"], out = tuple(perm), tuple(shape[p] for p in perm)
    elif kind == "slice":
        steps = tuple(random.choice([1, 1, -1, 2]) for _ in shape)
        starts = tuple(n - 1 if s < 0 else 0 for n, s in zip(shape, steps, strict=True))
        out = tuple(-(-n // abs(s)) for n, s in zip(shape, steps, strict=True))
        more |= {"starts": starts, "steps": steps}
    elif kind == "expand":
        wide = tuple(3 if n == 1 else n for n in shape)
        out = (2, *wide) if random.random() < 0.5 else wide
    elif kind == "pad":
        starts = tuple(random.randint(0, 2) for _ in shape)
        out = tuple(n + s + 1 for n, s in zip(shape, starts, strict=True))
        more["starts"] = starts
    else:
        axis = random.randrange(len(shape))
        other = tuple(2 if d == axis else n for d, n in enumerate(shape))
        out = tuple(n + 2 if d == axis else n for d, n in enumerate(shape))
        shapes, more["axis"] = [shape, other], axis
    names = tuple("ab"[: len(shapes)])
    return LayoutOp("v", kind, kind, names, "v", (), **more), shapes, out


@pytest.mark.parametrize("seed", range(300))
def test_boxes_of_views_are_the_same_elements_of_the_inputs(seed):
    random = Random(seed)
    view, shapes, out = random_view(random)
    boxes = random_boxes(random, out, 5)
    found = pulled(view, boxes, out, shapes)
    if found is None:
        return
    begins = np.cumsum([0, *(math.prod(shape) for shape in shapes)])
    numbers = [
        np.arange(begin, begin + math.prod(shape)).reshape(shape)
        for begin, shape in zip(begins, shapes, strict=False)
    ]
    through = moved(view, numbers, out, np.asarray(NOWHERE))
    for core in range(boxes.cores):
        want = set(elements(boxes, core, through)) - {NOWHERE}
        got = [e for b, n in zip(found, numbers, strict=True) for e in elements(b, core, n)]
        assert sorted(got) == sorted(want)


def test_what_most_views_do_is_followed():
    """Boxes of views are boxes of the inputs in most cases, else the above says little."""
    tried = [random_view(Random(seed)) for seed in range(300)]
    followed = [
        pulled(view, random_boxes(Random(seed), out, 5), out, shapes) is not None
        for seed, (view, shapes, out) in enumerate(tried)
    ]
    assert sum(followed) > 150
