"""com.microsoft: attention with its input projection, and attention of packed sequences."""

from t10c.onnx_import.contrib.heads import (
    FILLER,
    Scoring,
    Sizes,
    after_past,
    attend,
    biased,
    blocked,
    head_size,
    merge_heads,
    scale_of,
    scoring_of,
    split_heads,
)
from t10c.onnx_import.contrib.pieces import (
    positions,
    reduce,
    reshape,
    split,
    total,
    unsqueeze,
)
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.names import MICROSOFT
from t10c.onnx_import.registry import expands


@expands("Attention", domain=MICROSOFT)
def expand_attention(call: Expansion) -> None:
    """Self-attention with its input projection, masks and a cache if given."""
    if call.attribute("do_rotary", 0):
        call.refuse("rotary positions inside it are not supported; use RotaryEmbedding")
    if call.input(6) or call.attribute("past_present_share_buffer", 0):
        call.refuse("a cache buffer longer than its contents is not supported")
    batch, queries, _ = call.shape(0)
    heads = call.attribute("num_heads", 0)
    query, key, value, sizes = _projected(call, batch, queries, heads)
    past_key = past_value = ""
    if call.input(4) and (past := call.shape(4)[3]):
        halves = split(call, call.input(4), 0, [1, 1])
        past_key, past_value = (reshape(call, half, *call.shape(4)[1:]) for half in halves)
        sizes = sizes.behind(past)
    key, value = after_past(call, past_key, key), after_past(call, past_value, value)
    if call.output(1):
        pair = [unsqueeze(call, each, 0) for each in (key, value)]
        call.result(1, call.add("Concat", pair, axis=0))
    scoring = scoring_of(call, sizes, 3, 5)
    mixed, _ = attend(call, sizes, query, key, value, scoring)
    call.result(0, merge_heads(call, mixed, sizes))


@expands("PackedMultiHeadAttention", domain=MICROSOFT)
def expand_packed_multi_head_attention(call: Expansion) -> None:
    """Attention over tokens of all sequences at once, each masked to its own sequence."""
    heads = call.attribute("num_heads", 0)
    tokens, *rest = call.shape(0)
    if len(rest) == 3:
        size = value_size = rest[2]
        packed = call.add("Transpose", [call.input(0)], perm=[2, 0, 1, 3])
        query, key, value = (
            reshape(call, each, 1, tokens, heads * size) for each in split(call, packed, 0, [1] * 3)
        )
    else:
        size, value_size = (head_size(call, call.shape(i)[1], heads) for i in (0, 2))
        query, key, value = (unsqueeze(call, call.input(index), 0) for index in range(3))
    widths = [heads * size, heads * size, heads * value_size]
    query, key, value = biased(call, [query, key, value], 3, widths)
    sizes = Sizes(1, heads, heads, tokens, tokens, size, value_size)
    _packed(call, sizes, query, key, value, 5)


@expands("PackedAttention", domain=MICROSOFT)
def expand_packed_attention(call: Expansion) -> None:
    """Self-attention with its projection over tokens of all sequences, each masked to its own."""
    heads = call.attribute("num_heads", 0)
    tokens = call.shape(0)[0]
    widths = _widths(call)
    projected = total(call, call.add("MatMul", [call.input(0), call.input(1)]), call.input(2))
    size, value_size = (head_size(call, width, heads) for width in widths[1:])
    query, key, value = split(call, unsqueeze(call, projected, 0), -1, widths)
    sizes = Sizes(1, heads, heads, tokens, tokens, size, value_size)
    _packed(call, sizes, query, key, value, 4)


def _packed(call: Expansion, sizes: Sizes, query: str, key: str, value: str, lengths: int) -> None:
    """Attention of [1, tokens, hidden] operands; input `lengths` says where sequences begin."""
    if call.input(lengths + 1):
        call.refuse("an attention bias of packed sequences is not supported")
    tokens, bounds = sizes.queries, call.shape(lengths)[0]
    ends = reshape(call, call.add("Cast", [call.input(lengths)], to=7), 1, bounds)
    place = reshape(call, positions(call, tokens), tokens, 1)
    begun = call.add("Cast", [call.add("GreaterOrEqual", [place, ends])], to=6)
    number = reduce(call, "ReduceSum", begun, 1)
    same = call.add("Equal", [number, reshape(call, number, 1, tokens)])
    addend = blocked(call, same, call.attribute("mask_filter_value", FILLER))
    scoring = Scoring(scale_of(call, sizes.size), addends=(addend,))
    features = (sizes.size, sizes.size, sizes.value_size)
    query, key, value = (
        split_heads(call, each, 1, sizes.heads, size)
        for each, size in zip((query, key, value), features, strict=True)
    )
    mixed, _ = attend(call, sizes, query, key, value, scoring)
    merged = merge_heads(call, mixed, sizes)
    call.result(0, reshape(call, merged, tokens, sizes.heads * sizes.value_size))


def _projected(
    call: Expansion, batch: int, queries: int, heads: int
) -> tuple[str, str, str, Sizes]:
    """input * weights + bias, split into queries, keys and values as heads."""
    widths = _widths(call)
    projected = total(call, call.add("MatMul", [call.input(0), call.input(1)]), call.input(2))
    size, value_size = (head_size(call, width, heads) for width in widths[1:])
    query, key, value = (
        split_heads(call, each, batch, heads, width // heads)
        for each, width in zip(split(call, projected, -1, widths), widths, strict=True)
    )
    return query, key, value, Sizes(batch, heads, heads, queries, queries, size, value_size)


def _widths(call: Expansion) -> list[int]:
    """Features of queries, keys and values in the merged weights (input 1)."""
    whole = call.shape(1)[1]
    widths = list(call.attribute("qkv_hidden_sizes", ())) or [whole // 3] * 3
    if len(widths) != 3 or sum(widths) != whole or widths[0] != widths[1]:
        call.refuse(f"its weights of {whole} columns do not hold queries, keys and values")
    return widths
