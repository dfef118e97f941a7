"""What com.microsoft's attention operators share: heads, masks, caches and the attention itself."""

import math
from dataclasses import dataclass, replace

from t10c.onnx_import.contrib.pieces import (
    part,
    positions,
    reshape,
    scalar,
    scaled,
    transpose,
)
from t10c.onnx_import.expansion import Expansion

FILLER = -10000.0
"""What ONNX Runtime adds to the scores of masked keys unless told otherwise."""

LOWEST = -3.4028234663852886e38
"""What it sets scores to of keys after their query: the lowest float32."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Lengths of an attention; `size` and `value_size` are features of a head.

    `past` are the keys before the first query's own position, `kv_heads` divides `heads`.
    """

    batch: int
    heads: int
    kv_heads: int
    queries: int
    keys: int
    size: int
    value_size: int
    past: int = 0

    def behind(self, past: int) -> "Sizes":
        """The sizes with `past` keys before those there are."""
        return replace(self, keys=past + self.keys, past=past)

    @property
    def grid(self) -> tuple[int, int, int, int]:
        """The shape of the scores."""
        return self.batch, self.heads, self.queries, self.keys


@dataclass(frozen=True, slots=True)
class Scoring:
    """What happens to scores between product and softmax, in this order.

    `addends` broadcast to [batch, heads, queries, keys]; `sink`, one logit per head, joins the
    softmax as a key without a value.
    """

    scale: float
    softcap: float = 0.0
    addends: tuple[str, ...] = ()
    sink: str = ""


def attend(
    call: Expansion, sizes: Sizes, query: str, key: str, value: str, scoring: Scoring
) -> tuple[str, str]:
    """Softmax(Q * K' and so on) * V as [batch, heads, queries, value size], and the scores before.

    Operands are [batch, heads, positions, size]. Query heads that share a key head become rows of
    one matmul, so keys and values are not repeated.
    """
    groups = sizes.heads // sizes.kv_heads
    rows = (sizes.batch, sizes.kv_heads, groups * sizes.queries)
    if groups > 1:
        query = reshape(call, query, *rows, sizes.size)
    scores = call.add("MatMul", [query, transpose(call, key, 0, 1, 3, 2)])
    if groups > 1:
        scores = reshape(call, scores, *sizes.grid)
    scores = scaled(call, scores, scoring.scale)
    if scoring.softcap > 0:
        capped = call.add("Tanh", [scaled(call, scores, 1 / scoring.softcap)])
        scores = scaled(call, capped, scoring.softcap)
    for addend in scoring.addends:
        scores = call.add("Add", [scores, addend])
    weights = _softmax(call, sizes, scores, scoring.sink)
    if groups > 1:
        weights = reshape(call, weights, *rows, sizes.keys)
    mixed = call.add("MatMul", [weights, value])
    if groups > 1:
        mixed = reshape(call, mixed, *sizes.grid[:3], sizes.value_size)
    return mixed, scores


def _softmax(call: Expansion, sizes: Sizes, scores: str, sink: str) -> str:
    """Softmax over the keys, and the sink if there is one."""
    if not sink:
        return call.add("Softmax", [scores], axis=-1)
    shape = call.array((*sizes.grid[:3], 1), "int64", "shape")
    joined = call.add("Concat", [scores, call.add("Expand", [sink, shape])], axis=-1)
    return part(call, call.add("Softmax", [joined], axis=-1), 3, 0, sizes.keys)


def split_heads(call: Expansion, source: str, batch: int, heads: int, size: int) -> str:
    """[batch, positions, heads * size] to [batch, heads, positions, size]."""
    return transpose(call, reshape(call, source, batch, -1, heads, size), 0, 2, 1, 3)


def merge_heads(call: Expansion, source: str, sizes: Sizes) -> str:
    """[batch, heads, queries, value size] to [batch, queries, heads * value size]."""
    moved = transpose(call, source, 0, 2, 1, 3)
    return reshape(call, moved, sizes.batch, sizes.queries, sizes.heads * sizes.value_size)


def head_size(call: Expansion, hidden: int, heads: int) -> int:
    """Features of a head; refuses the node where the heads do not share them evenly."""
    if heads < 1 or hidden % heads:
        call.refuse(f"{heads} heads cannot share {hidden} features")
    return hidden // heads


def scale_of(call: Expansion, size: int) -> float:
    """The factor of the scores: attribute `scale`, by default 1 / sqrt(size)."""
    return call.attribute("scale", 0.0) or 1 / math.sqrt(size)


def biased(call: Expansion, operands: list[str], index: int, widths: list[int]) -> list[str]:
    """Operands [batch, positions, hidden] plus their parts of the bias, if there is one."""
    if not call.input(index):
        return operands
    starts = [sum(widths[:number]) for number in range(len(widths))]
    return [
        call.add("Add", [operand, part(call, call.input(index), 0, start, start + width)])
        for operand, start, width in zip(operands, starts, widths, strict=True)
    ]


def after_past(call: Expansion, past: str, new: str) -> str:
    """Keys or values [batch, heads, positions, size] behind those of the cache, if any."""
    return call.add("Concat", [past, new], axis=2) if past else new


def cut_cache(call: Expansion, past: str, new: str, start: int, stop: int, length: int) -> str:
    """A cache of fixed length with new entries in place of the positions `start` to `stop`."""
    pieces = [part(call, past, 2, 0, start)] if start else []
    pieces.append(new)
    if stop < length:
        pieces.append(part(call, past, 2, stop, length))
    return call.add("Concat", pieces, axis=2) if len(pieces) > 1 else new


def visible(call: Expansion, sizes: Sizes, window: int = 0) -> str:
    """Whether a query sees a key as [queries, keys]: none after it, at most `window` with it."""
    rows = reshape(call, positions(call, sizes.queries, sizes.past), sizes.queries, 1)
    columns = reshape(call, positions(call, sizes.keys), 1, sizes.keys)
    seen = call.add("LessOrEqual", [columns, rows])
    if window > 0:
        first = call.add("Sub", [rows, call.array(window - 1, "int64")])
        seen = call.add("And", [seen, call.add("GreaterOrEqual", [columns, first])])
    return seen


def causal_mask(call: Expansion, sizes: Sizes, window: int = 0) -> str:
    """What to add to scores so that no key counts that `visible` hides; layers share it."""
    extent = (sizes.queries, sizes.keys, sizes.past, window, call.element_type(0))
    return call.shared(
        ("causal mask", extent), lambda: blocked(call, visible(call, sizes, window), LOWEST)
    )


def blocked(call: Expansion, seen: str, filler: float) -> str:
    """What to add to scores: 0 where a key is seen, else the filler."""
    return call.add("Where", [seen, scalar(call, 0.0), scalar(call, filler)])


def padding(call: Expansion, index: int, sizes: Sizes) -> str:
    """Whether a key counts, by mask input `index`; it broadcasts to the scores.

    The mask is [batch] (ends), [2 * batch] (ends, then starts), [batch, keys],
    [batch, queries, keys] or [batch, 1, longest, longest].
    """
    mask, shape = call.input(index), call.shape(index)
    batch, _, queries, keys = sizes.grid
    if len(shape) == 1:
        return _within(call, mask, shape[0], sizes)
    if len(shape) == 4 and shape[-1] >= keys and shape[-2] >= sizes.past + queries:
        rows = part(call, mask, 2, sizes.past, sizes.past + queries)
        mask = part(call, rows, 3, 0, keys)
    elif shape in ((batch, keys), (1, keys)):
        mask = reshape(call, mask, shape[0], 1, 1, keys)
    elif shape == (batch, queries, keys):
        mask = reshape(call, mask, batch, 1, queries, keys)
    else:
        call.refuse(f"its mask of the shape {list(shape)} does not fit {keys} keys")
    return call.add("Greater", [mask, _zero(call, mask)])


def _within(call: Expansion, bounds: str, count: int, sizes: Sizes) -> str:
    """Keys before the ends and, if given, from the starts on."""
    batch = sizes.batch
    if count not in (batch, 2 * batch):
        call.refuse(
            "its mask holds cumulative lengths of packed sequences, which are not supported"
        )
    bounds = call.add("Cast", [bounds], to=7)
    columns = positions(call, sizes.keys)
    ends = reshape(call, part(call, bounds, 0, 0, batch), batch, 1, 1, 1)
    inside = call.add("Less", [columns, ends])
    if count == batch:
        return inside
    starts = reshape(call, part(call, bounds, 0, batch, count), batch, 1, 1, 1)
    return call.add("And", [inside, call.add("GreaterOrEqual", [columns, starts])])


def _zero(call: Expansion, like: str) -> str:
    return call.add("CastLike", [call.array(0, "int32"), like])


def scoring_of(call: Expansion, sizes: Sizes, mask: int, addend: int) -> Scoring:
    """Scale and what is added to scores: inputs `addend` and `mask`, and the causal mask."""
    filler = call.attribute("mask_filter_value", FILLER)
    addends = [call.input(addend)] if call.input(addend) else []
    if call.input(mask):
        addends.append(blocked(call, padding(call, mask, sizes), filler))
    if call.attribute("unidirectional", 0) and sizes.queries > 1:
        addends.append(causal_mask(call, sizes))
    return Scoring(scale_of(call, sizes.size), addends=tuple(addends))
