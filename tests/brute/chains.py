"""Random chains of layout operators, and random layouts of their tensors."""

import math

import numpy as np

from t10c.ir.graph import Graph, LayoutOp, Tensor
from t10c.schedule.layout import Layout


def slow_layout(draw, shape: tuple[int, ...], cores: int, flat: bool) -> Layout:
    """Random boxes (or runs) of a tensor, one per core."""
    bounds = (math.prod(shape),) if flat or not shape else shape
    start, stop = [], []
    for _ in range(cores):
        pairs = [sorted((draw.randint(0, n), draw.randint(0, n))) for n in bounds]
        start.append([low for low, _ in pairs])
        stop.append([high for _, high in pairs])
    return Layout(np.array(start), np.array(stop), flat or not shape)


def reshapes(draw, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Another shape of as many elements: dimensions joined and cut at random, ones put in."""
    dims = [n for n in shape if n != 1 or draw.random() < 0.5]
    for _ in range(draw.randint(1, 3)):
        if len(dims) > 1 and draw.random() < 0.5:
            at = draw.randrange(len(dims) - 1)
            dims[at : at + 2] = [dims[at] * dims[at + 1]]
        elif dims:
            at = draw.randrange(len(dims))
            factor = draw.choice([d for d in range(1, dims[at] + 1) if dims[at] % d == 0])
            dims[at : at + 1] = [factor, dims[at] // factor]
    if draw.random() < 0.3:
        dims.insert(draw.randint(0, len(dims)), 1)
    return tuple(dims)


class Chain:
    """A random graph of layout operators, and its tensors as arrays of unique element ids.

    Negative ids are constants (padding), which have no source.
    """

    def __init__(self, draw) -> None:
        self.draw = draw
        self.ids: dict[str, np.ndarray] = {}
        self.operators: list[LayoutOp] = []
        self.next_id = 0
        for _ in range(draw.randint(1, 2)):
            self.add(
                self.fresh(tuple(draw.choice([1, 2, 3, 4, 6]) for _ in range(draw.randint(0, 3))))
            )

    def fresh(self, shape: tuple[int, ...]) -> np.ndarray:
        """A new source tensor."""
        count = math.prod(shape)
        self.next_id += count
        return np.arange(self.next_id - count, self.next_id).reshape(shape)

    def add(self, ids: np.ndarray) -> str:
        """Name a tensor."""
        name = f"t{len(self.ids)}"
        self.ids[name] = ids
        return name

    def step(self) -> None:
        """One more operator, usually on the newest tensor."""
        draw = self.draw
        name = f"t{len(self.ids) - 1}" if draw.random() < 0.8 else draw.choice(list(self.ids))
        x = self.ids[name]
        kind = draw.choice(["reshape", "reshape", "transpose", "slice", "expand", "concat", "pad"])
        inputs, fields = (name,), {}
        if kind == "reshape":
            y = x.reshape(reshapes(draw, x.shape))
        elif kind == "transpose":
            fields["perm"] = tuple(draw.sample(range(x.ndim), x.ndim))
            y = x.transpose(fields["perm"])
        elif kind == "slice":
            starts, steps, cut = [], [], []
            for n in x.shape:
                count = draw.randint(1, n)
                step = draw.choice([1, 1, 1, 2, 3, -1, -2])
                while (count - 1) * abs(step) >= n:
                    count -= 1
                low = draw.randint(0, n - 1 - (count - 1) * abs(step))
                starts.append(low if step > 0 else low + (count - 1) * -step)
                steps.append(step)
                cut.append([starts[-1] + i * step for i in range(count)])
            fields |= {"starts": tuple(starts), "steps": tuple(steps)}
            y = x[np.ix_(*cut)] if cut else x
        elif kind == "expand":
            shape = [n if n > 1 else draw.choice([1, 2, 3]) for n in x.shape]
            y = np.broadcast_to(x, [draw.choice([2, 3])] * draw.randint(0, 1) + shape)
        elif kind == "concat" and x.ndim:
            axis = draw.randrange(x.ndim)
            others = [
                other
                for other, ids in self.ids.items()
                if ids.ndim == x.ndim
                and np.delete(ids.shape, axis).tolist() == np.delete(x.shape, axis).tolist()
            ]
            if draw.random() < 0.6:
                shape = list(x.shape)
                shape[axis] = draw.randint(1, 3)
                others = [self.add(self.fresh(tuple(shape)))]
            inputs = (name, draw.choice(others))[:: draw.choice([1, -1])]
            fields["axis"] = axis
            y = np.concatenate([self.ids[i] for i in inputs], axis)
        else:
            kind = "pad"
            widths = [(draw.randint(0, 2), draw.randint(0, 2)) for _ in x.shape]
            fields["starts"] = tuple(low for low, _ in widths)
            y = np.pad(x, widths, constant_values=-1) if widths else x
        if y.size > 400:
            return
        output = self.add(np.array(y))
        self.operators.append(LayoutOp(output, kind, kind, inputs, output, (), **fields))

    def graph(self) -> Graph:
        tensors = tuple(Tensor(n, ids.shape, "float32", "input") for n, ids in self.ids.items())
        return Graph("chain", tensors, (), (), tuple(self.operators), (), 0, 17, "")

    def replay(self, copies: set[str]) -> dict[str, np.ndarray]:
        """Ids of all tensors where the outputs of `copies` are tensors of their own."""
        made = {o.output for o in self.operators}
        ids = {name: x for name, x in self.ids.items() if name not in made}
        for op in self.operators:
            x = ids[op.inputs[0]]
            if op.kind == "reshape":
                y = x.reshape(self.ids[op.output].shape)
            elif op.kind == "transpose":
                y = x.transpose(op.perm)
            elif op.kind == "slice":
                shape = self.ids[op.output].shape
                cut = [
                    [a + i * s for i in range(n)]
                    for a, s, n in zip(op.starts, op.steps, shape, strict=True)
                ]
                y = x[np.ix_(*cut)] if cut else x
            elif op.kind == "expand":
                y = np.broadcast_to(x, self.ids[op.output].shape)
            elif op.kind == "concat":
                y = np.concatenate([ids[i] for i in op.inputs], op.axis)
            else:
                y = np.full(self.ids[op.output].shape, -1)
                y[tuple(slice(a, a + n) for a, n in zip(op.starts, x.shape, strict=True))] = x
            if op.name in copies:
                y = self.fresh(y.shape)
            ids[op.output] = np.array(y)
        return ids
