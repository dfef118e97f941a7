"""com.microsoft: attention of query heads that share key heads, with rotary positions and a cache.

How much of the cache is filled depends on data (`seqlens_k`, `total_sequence_length`). Where these
are constants they decide; else the cache is taken to be full, the new keys coming after it. Every
sequence of a batch is taken to be equally long.
"""

from dataclasses import dataclass
from functools import partial

from t10c.onnx_import.contrib.heads import (
    Scoring,
    Sizes,
    after_past,
    attend,
    causal_mask,
    head_size,
    merge_heads,
    scale_of,
    split_heads,
)
from t10c.onnx_import.contrib.norms import rms_norm
from t10c.onnx_import.contrib.pieces import part, reshape, split, unsqueeze
from t10c.onnx_import.contrib.rotary import rotate
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.names import MICROSOFT
from t10c.onnx_import.registry import expands


@dataclass(frozen=True, slots=True)
class _Lengths:
    """New positions, those before them, and the places of the cache."""

    new: int
    past: int
    held: int

    @property
    def total(self) -> int:
        return self.past + self.new


@expands("GroupQueryAttention", domain=MICROSOFT)
def expand_grouped_attention(call: Expansion) -> None:
    """Attention of grouped queries; a cache whose contents depend on data counts as full."""
    _check_supported(call)
    lengths = _lengths(call)
    query, key, value, sizes = _operands(call, lengths)
    if call.attribute("do_rotary", 0):
        cos, sin = _angles(call, lengths)
        half, interleaved = call.shape(7)[1], bool(call.attribute("rotary_interleaved", 0))
        query = rotate(call, query, _grid(sizes, sizes.heads), cos, sin, half, interleaved)
        key = rotate(call, key, _grid(sizes, sizes.kv_heads), cos, sin, half, interleaved)
    key, value = _cached(call, 3, key, lengths), _cached(call, 4, value, lengths)
    window = call.attribute("local_window_size", -1)
    first = max(0, lengths.past + 1 - window) if window > 0 else 0
    if first:
        key, value = (part(call, each, 2, first, lengths.total) for each in (key, value))
    sizes = sizes.behind(lengths.past - first)
    mixed, _ = attend(call, sizes, query, key, value, _scoring(call, sizes, lengths, first))
    call.result(0, merge_heads(call, mixed, sizes))


def _check_supported(call: Expansion) -> None:
    for index, what in ((12, "a quantised cache"), (16, "right-padded chunks (query_seqlens)")):
        if call.input(index):
            call.refuse(f"{what} is not supported")
    if call.attribute("sliding_window_cache", 0):
        call.refuse("a cache that evicts (sliding_window_cache) is not supported")
    if call.output(3):
        call.refuse("its output of scores (output_qk) is not supported")


def _lengths(call: Expansion) -> _Lengths:
    """Lengths by constant operands, or by shapes; refuses sequences of different lengths."""
    new = call.shape(0)[1]
    held = call.shape(3)[2] if call.input(3) else 0
    ends, whole = call.value(5), call.value(6)
    total = held + new
    if whole is not None:
        total = int(whole.reshape(-1)[0])
    elif ends is not None:
        total = int(ends.max()) + 1
    past = total - new
    if not 0 <= past <= held:
        call.refuse(f"{total} keys are not {new} new ones behind at most {held} of the cache")
    if past and ends is not None and (ends != total - 1).any():
        call.refuse("sequences of different lengths in one batch (seqlens_k) are not supported")
    return _Lengths(new, past, held)


def _operands(call: Expansion, lengths: _Lengths) -> tuple[str, str, str, Sizes]:
    """Queries, keys and values as heads, from three inputs or one, normalised if asked."""
    heads, kv_heads = call.attribute("num_heads", 0), call.attribute("kv_num_heads", 0)
    batch, _, hidden = call.shape(0)
    if kv_heads < 1 or heads % kv_heads:
        call.refuse(f"{kv_heads} key heads cannot serve {heads} query heads")
    if call.input(1):
        size = head_size(call, hidden, heads)
        operands = [call.input(index) for index in range(3)]
        if call.shape(1)[1] != lengths.new:
            call.refuse("keys of another length than its queries are not supported")
    else:
        size = head_size(call, hidden, heads + 2 * kv_heads)
        widths = [heads * size, kv_heads * size, kv_heads * size]
        operands = split(call, call.input(0), -1, widths)
    counts = (heads, kv_heads, kv_heads)
    query, key, value = (
        split_heads(call, each, batch, count, size)
        for each, count in zip(operands, counts, strict=True)
    )
    query, key = _normalised(call, query, 14, "q"), _normalised(call, key, 15, "k")
    sizes = Sizes(batch, heads, kv_heads, lengths.new, lengths.new, size, size)
    return query, key, value, sizes


def _normalised(call: Expansion, source: str, index: int, side: str) -> str:
    """RMS normalisation of each head by weight `index`, if there is one."""
    if not call.input(index):
        return source
    common = call.attribute("qk_norm_epsilon", 1e-6)
    normal, _ = rms_norm(call, source, (-1,), call.attribute(f"{side}_norm_epsilon", common))
    return call.add("Mul", [normal, call.input(index)])


def _angles(call: Expansion, lengths: _Lengths) -> tuple[str, str]:
    """cos and sin of every new position, broadcast to [batch, heads, positions, half]."""
    if not call.input(9) and call.shape(7)[0] < lengths.total:
        call.refuse(f"its cos_cache has no angle for position {lengths.total - 1}")
    places = call.input(9) or (lengths.past, lengths.total)
    cos, sin = (
        call.shared(("angles", cache, places), partial(_rows, call, cache, lengths))
        for cache in (call.input(7), call.input(8))
    )
    return cos, sin


def _rows(call: Expansion, cache: str, lengths: _Lengths) -> str:
    """The rows of a table of angles for every new position."""
    if call.input(9):
        return unsqueeze(call, call.add("Gather", [cache, call.input(9)], axis=0), 1)
    return part(call, cache, 0, lengths.past, lengths.total)


def _cached(call: Expansion, index: int, new: str, lengths: _Lengths) -> str:
    """The keys or values of all positions; delivers the cache `index`, old places behind them."""
    cache = call.input(index)
    past = ""
    if lengths.past:
        whole = lengths.past == lengths.held
        past = cache if whole else part(call, cache, 2, 0, lengths.past)
    filled = after_past(call, past, new)
    if lengths.total < lengths.held:
        rest = part(call, cache, 2, lengths.total, lengths.held)
        call.result(index - 2, call.add("Concat", [filled, rest], axis=2))
    else:
        call.result(index - 2, filled)
    return filled


def _grid(sizes: Sizes, heads: int) -> tuple[int, int, int, int]:
    return sizes.batch, heads, sizes.queries, sizes.size


def _scoring(call: Expansion, sizes: Sizes, lengths: _Lengths, first: int) -> Scoring:
    """Scale, soft cap, attention bias, causal and local mask, sink of the softmax."""
    addends = []
    if call.input(10):
        addend, columns = call.input(10), call.shape(10)[-1]
        if columns < lengths.total:
            call.refuse(f"its attention bias has {columns} columns for {lengths.total} keys")
        if first or columns > lengths.total:
            addend = part(call, addend, 3, first, lengths.total)
        addends.append(addend)
    if call.attribute("causal", 1) and sizes.queries > 1:
        window = call.attribute("local_window_size", -1)
        addends.append(causal_mask(call, sizes, max(window, 0)))
    sink = ""
    if call.input(11):
        sink = reshape(call, call.input(11), 1, sizes.heads, 1, 1)
    elif call.attribute("smooth_softmax", -1) == 1:
        zero = call.array([[[[0.0]]]], "float32", "sink")
        sink = call.add("CastLike", [zero, call.input(0)])
    cap = call.attribute("softcap", 0.0)
    return Scoring(scale_of(call, sizes.size), cap, tuple(addends), sink)
