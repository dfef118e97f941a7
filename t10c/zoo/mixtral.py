"""Mixtral: Llama's layers with a sparse mixture of experts in place of the gated MLP.

A static graph cannot send a data-dependent number of tokens to an expert. Two exact forms remain,
and the builder takes the one that reads fewer weights:

many tokens   every expert on every token, weighted by the router (0 for the experts not selected)
few tokens    the weights of each token's experts gathered from the stacked ones, then multiplied
"""

from dataclasses import dataclass

from t10c.zoo.graph import GraphBuilder
from t10c.zoo.layers import linear, silu
from t10c.zoo.llama import LlamaParameters, build_llama_with
from t10c.zoo.request import Workload


@dataclass(frozen=True, slots=True)
class MixtralParameters(LlamaParameters):
    """Hyper-parameters of Mixtral: `selected` of the `experts` serve each token."""

    experts: int
    selected: int

    def __post_init__(self) -> None:
        # slots=True makes a new class, which the argument-less super() would not find
        LlamaParameters.__post_init__(self)
        if self.selected > self.experts:
            raise ValueError(f"selected ({self.selected}) must not exceed experts ({self.experts})")


@dataclass(frozen=True, slots=True)
class _Routing:
    """The selected experts of each token and their shares, both [tokens, selected]."""

    experts: str
    shares: str


def build_mixtral(g: GraphBuilder, p: MixtralParameters, run: Workload) -> None:
    """Token ids, position ids, mask (and cache) to logits [batch, seq, vocabulary] and cache."""
    build_llama_with(g, p, run, lambda x: _mixture(g, p, run, x))


def _mixture(g: GraphBuilder, p: MixtralParameters, run: Workload, x: str) -> str:
    """[batch, seq, hidden] through the selected experts of each token."""
    tokens = run.batch * run.seq
    with g.scope("block_sparse_moe"):
        flat = g.op("Reshape", x, g.ints(tokens, p.hidden))
        scores = linear(g, flat, "gate", p.hidden, p.experts, False)
        best, experts = g.ops("TopK", scores, g.ints(p.selected), outputs=2, axis=-1)
        routing = _Routing(experts, g.op("Softmax", best, axis=-1))
        weights = tuple(
            g.weight(f"experts.{name}", [p.experts, *shape], fan_in=shape[0])
            for name, shape in (
                ("w1", (p.hidden, p.intermediate)),
                ("w3", (p.hidden, p.intermediate)),
                ("w2", (p.intermediate, p.hidden)),
            )
        )
        if tokens * p.selected < p.experts:
            mixed = _gathered(g, p, tokens, flat, weights, routing)
        else:
            mixed = _dense(g, p, tokens, flat, weights, routing)
        return g.op("Reshape", mixed, g.ints(run.batch, run.seq, p.hidden))


def _gathered(
    g: GraphBuilder,
    p: MixtralParameters,
    tokens: int,
    x: str,
    weights: tuple[str, ...],
    routing: _Routing,
) -> str:
    """Experts [tokens, selected, ..] times [tokens, 1, 1, hidden], summed over the selected."""
    selected = [g.op("Gather", weight, routing.experts, axis=0) for weight in weights]
    out = _expert(g, g.op("Reshape", x, g.ints(tokens, 1, 1, p.hidden)), selected)
    shares = g.op("Reshape", routing.shares, g.ints(tokens, p.selected, 1, 1))
    return g.op("ReduceSum", g.op("Mul", out, shares), g.ints(1, 2), keepdims=0)


def _dense(
    g: GraphBuilder,
    p: MixtralParameters,
    tokens: int,
    x: str,
    weights: tuple[str, ...],
    routing: _Routing,
) -> str:
    """Experts [experts, ..] times [1, tokens, hidden], summed over all with their shares."""
    nothing = g.op("ConstantOfShape", g.ints(tokens, p.experts))
    spread = g.op("ScatterElements", nothing, routing.experts, routing.shares, axis=1)
    shares = g.op("Unsqueeze", g.op("Transpose", spread, perm=[1, 0]), g.ints(2))
    out = _expert(g, g.op("Unsqueeze", x, g.ints(0)), weights)
    return g.op("ReduceSum", g.op("Mul", out, shares), g.ints(0), keepdims=0)


def _expert(g: GraphBuilder, x: str, weights: tuple[str, ...] | list[str]) -> str:
    """w2(silu(w1(x)) * w3(x)) over batches of weights."""
    first, third, second = weights
    gate = silu(g, g.op("MatMul", x, first))
    return g.op("MatMul", g.op("Mul", gate, g.op("MatMul", x, third)), second)
