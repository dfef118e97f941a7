"""Grouped-query attention with rotary positions and a cache, as in Llama and its relatives."""

from dataclasses import dataclass

from t10c.zoo.decoder import extend_cache
from t10c.zoo.graph import GraphBuilder
from t10c.zoo.layers import attend, linear, merge_heads, split_heads
from t10c.zoo.request import Workload
from t10c.zoo.rotary import Rotary, rotate


@dataclass(frozen=True, slots=True)
class GroupedQueries:
    """Sizes of the attention: `heads` query heads of `size` features share `kv_heads` key heads.

    Scores are divided by `divisor` and capped at `cap`; a `window` limits how far back a position
    sees.
    """

    hidden: int
    heads: int
    kv_heads: int
    size: int
    divisor: float
    cap: float | None = None
    window: int | None = None


def grouped_attention(
    g: GraphBuilder,
    a: GroupedQueries,
    run: Workload,
    layer: int,
    x: str,
    rotary: Rotary,
    mask: str,
) -> str:
    """Self-attention of layer `layer` over [batch, seq, hidden], without biases."""
    with g.scope("self_attn"):
        query, key, value = (
            split_heads(g, linear(g, x, name, a.hidden, heads * a.size, False), heads, a.size)
            for name, heads in (("q_proj", a.heads), ("k_proj", a.kv_heads), ("v_proj", a.kv_heads))
        )
        query = rotate(g, query, a.size, rotary)
        key = rotate(g, key, a.size, rotary)
        shape = (a.kv_heads, a.size)
        key, value = extend_cache(g, run, layer, key, value, shape, a.window)
        key, value = (_repeat_heads(g, a, run, cached) for cached in (key, value))
        key_t = g.op("Transpose", key, perm=[0, 1, 3, 2])
        context = attend(g, query, key_t, value, mask, a.divisor, a.cap)
        merged = merge_heads(g, context, a.heads * a.size)
        return linear(g, merged, "o_proj", a.heads * a.size, a.hidden, False)


def _repeat_heads(g: GraphBuilder, a: GroupedQueries, run: Workload, cached: str) -> str:
    """[batch, kv_heads, keys, size] to [batch, heads, ..]: each head beside its copies."""
    if a.kv_heads == a.heads:
        return cached
    past = run.past if a.window is None else min(run.past, a.window - 1)
    keys = past + run.seq
    spread = (run.batch, a.kv_heads, a.heads // a.kv_heads, keys, a.size)
    copies = g.op("Expand", g.op("Unsqueeze", cached, g.ints(2)), g.ints(*spread))
    return g.op("Reshape", copies, g.ints(run.batch, a.heads, keys, a.size))
