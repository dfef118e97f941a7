"""com.microsoft: attention with one key head for each query head."""

from dataclasses import dataclass

from t10c.onnx_import.contrib.heads import (
    Sizes,
    after_past,
    attend,
    biased,
    cut_cache,
    head_size,
    merge_heads,
    scoring_of,
    split_heads,
)
from t10c.onnx_import.contrib.pieces import (
    part,
    reshape,
    split,
)
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.names import MICROSOFT
from t10c.onnx_import.registry import expands


@dataclass(frozen=True, slots=True)
class _Places:
    """The numbers of the inputs and outputs of an operator."""

    mask: int
    addend: int
    past: int
    length: int
    beams: int
    bias: int


_MULTI_HEAD = _Places(mask=4, addend=5, past=6, length=8, beams=9, bias=3)
_DECODER = _Places(mask=3, addend=4, past=5, length=7, beams=9, bias=10)


@expands("MultiHeadAttention", domain=MICROSOFT)
def expand_multi_head_attention(call: Expansion) -> None:
    """Attention of projected queries, keys and values, with bias, masks and a cache if given."""
    _multi_head(call, _MULTI_HEAD)


@expands("DecoderMaskedMultiHeadAttention", domain=MICROSOFT)
def expand_decoder_attention(call: Expansion) -> None:
    """Attention of one query per sequence to a cache and its own key, without beams."""
    _multi_head(call, _DECODER)


def _multi_head(call: Expansion, places: _Places) -> None:
    if call.input(places.beams):
        call.refuse("beams that share a cache (cache_indirection) are not supported")
    query, key, value, sizes = _operands(call, places)
    if call.input(places.past):
        key, value, sizes = _cached(call, places, key, value, sizes)
    else:
        call.result(1, key)
        call.result(2, value)
    scoring = scoring_of(call, sizes, places.mask, places.addend)
    mixed, scores = attend(call, sizes, query, key, value, scoring)
    call.result(0, merge_heads(call, mixed, sizes))
    call.result(3, scores)


def _operands(call: Expansion, places: _Places) -> tuple[str, str, str, Sizes]:
    """Queries, keys and values as heads, with their bias: from separate or packed inputs."""
    heads = call.attribute("num_heads", 0)
    batch, queries, *rest = call.shape(0)
    if len(rest) == 3 or not call.input(1):
        return _packed_operands(call, places, heads)
    size = head_size(call, rest[0], heads)
    shape = call.shape(1)
    if len(shape) == 5:
        packed = call.add("Transpose", [call.input(1)], perm=[3, 0, 1, 2, 4])
        value_size, keys = shape[4], shape[1]
        flat = (batch, keys, heads * size)
        key, value = (reshape(call, each, *flat) for each in split(call, packed, 0, [1, 1]))
    elif len(shape) == 4:
        keys, value_size = shape[2], call.shape(2)[3]
        query = biased(call, [call.input(0)], places.bias, [heads * size])[0]
        query = split_heads(call, query, batch, heads, size)
        sizes = Sizes(batch, heads, heads, queries, keys, size, value_size)
        return query, call.input(1), call.input(2), sizes
    else:
        key, value, keys = call.input(1), call.input(2), shape[1]
        value_size = head_size(call, call.shape(2)[2], heads)
    widths = [heads * size, heads * size, heads * value_size]
    operands = biased(call, [call.input(0), key, value], places.bias, widths)
    query, key, value = (
        split_heads(call, each, batch, heads, width // heads)
        for each, width in zip(operands, widths, strict=True)
    )
    return query, key, value, Sizes(batch, heads, heads, queries, keys, size, value_size)


def _packed_operands(call: Expansion, places: _Places, heads: int) -> tuple[str, str, str, Sizes]:
    """Queries, keys and values that input 0 holds side by side or, in 5-D, head by head."""
    batch, queries, *rest = call.shape(0)
    if len(rest) == 3:
        size = rest[2]
        packed = call.add("Transpose", [call.input(0)], perm=[3, 0, 1, 2, 4])
        flat = (batch, queries, heads * size)
        operands = [reshape(call, each, *flat) for each in split(call, packed, 0, [1] * 3)]
    else:
        size = head_size(call, rest[0], 3 * heads)
        operands = split(call, call.input(0), -1, [heads * size] * 3)
    operands = biased(call, operands, places.bias, [heads * size] * 3)
    query, key, value = (split_heads(call, each, batch, heads, size) for each in operands)
    return query, key, value, Sizes(batch, heads, heads, queries, queries, size, size)


def _cached(
    call: Expansion, places: _Places, key: str, value: str, sizes: Sizes
) -> tuple[str, str, Sizes]:
    """Keys and values behind those of the cache, delivered as `present_key` and `present_value`.

    A buffer longer than its contents is filled up to input `length`; where that depends on data,
    it is taken to be full after this step.
    """
    held, new = call.shape(places.past)[2], sizes.keys
    pasts = [call.input(places.past), call.input(places.past + 1)]
    shared = bool(call.input(places.length)) and (
        places is _MULTI_HEAD or call.attribute("past_present_share_buffer", 0)
    )
    if not shared:
        if held:
            key, value = (
                after_past(call, past, each) for past, each in zip(pasts, (key, value), strict=True)
            )
        call.result(1, key)
        call.result(2, value)
        return key, value, sizes.behind(held)
    known = call.value(places.length)
    past = held - new if known is None else int(known.reshape(-1)[0])
    if not 0 <= past <= held - new:
        call.refuse(f"its cache of {held} positions has no room for {new} after {past}")
    for index, (cache, each) in enumerate(zip(pasts, (key, value), strict=True), start=1):
        call.result(index, cut_cache(call, cache, each, past, past + new, held))
    if past:
        key, value = (
            after_past(call, part(call, cache, 2, 0, past), each)
            for cache, each in zip(pasts, (key, value), strict=True)
        )
    return key, value, sizes.behind(past)
