"""com.microsoft: mixtures of experts, every expert computing every token."""

from t10c.onnx_import.contrib.pieces import (
    DOMAIN,
    part,
    reduce,
    reshape,
    scalar,
    scaled,
    silu,
    split,
    total,
    transpose,
    unsqueeze,
)
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.registry import expands


@expands("MoE", domain=DOMAIN)
def expand_experts(call: Expansion) -> None:
    """Mixture of experts: every expert computes every token, those not chosen count as zero."""
    if call.attribute("use_sparse_mixer", 0):
        call.refuse("the choice of experts by a sparse mixer is not supported")
    if call.attribute("swiglu_limit_after_activation", 0):
        call.refuse("a limit after the activation is not supported")
    shape, (tokens, experts) = call.shape(0), call.shape(1)
    rows = reshape(call, call.input(0), 1, tokens, shape[-1])
    hidden = _projected(call, rows, 2, shape[-1])
    third = _projected(call, rows, 6, shape[-1]) if call.input(6) else ""
    inner = _activation(call, hidden, third)
    results = _projected(call, inner, 4, _inner_size(call))
    shares = transpose(call, _shares(call, experts), 1, 0)
    weighted = call.add("Mul", [results, unsqueeze(call, shares, 2)])
    call.result(0, reshape(call, reduce(call, "ReduceSum", weighted, 0, keepdims=0), *shape))


def _projected(call: Expansion, rows: str, index: int, depth: int) -> str:
    """Rows times the weights of every expert (input `index`), plus their bias (the next input)."""
    weights, shape = call.input(index), call.shape(index)
    if shape[2] == depth:  # [experts, columns, depth]; the form of before 2025 has them swapped
        weights = transpose(call, weights, 0, 2, 1)
    elif shape[1] != depth:
        call.refuse(f"its weights {list(shape)} do not fit rows of {depth} features")
    bias = unsqueeze(call, call.input(index + 1), 1) if call.input(index + 1) else ""
    return total(call, call.add("MatMul", [rows, weights]), bias)


def _inner_size(call: Expansion) -> int:
    """Features between the two projections of an expert."""
    _, first, second = call.shape(4)
    return second if first == call.shape(0)[-1] else first


def _shares(call: Expansion, experts: int) -> str:
    """[tokens, experts]: softmax of the router, zero but for the k largest of a token."""
    chosen = call.attribute("k", 1)
    shares = call.add("Softmax", [call.input(1)], axis=-1)
    if chosen < experts:
        rest, least = shares, reduce(call, "ReduceMax", shares, 1)
        for _ in range(chosen - 1):
            below = call.add("Less", [rest, least])
            rest = call.add("Where", [below, rest, scalar(call, 0.0)])
            least = reduce(call, "ReduceMax", rest, 1)
        kept = call.add("GreaterOrEqual", [shares, least])
        shares = call.add("Where", [kept, shares, scalar(call, 0.0)])
    if call.attribute("normalize_routing_weights", 0):
        shares = call.add("Div", [shares, reduce(call, "ReduceSum", shares, 1)])
    return shares


def _activation(call: Expansion, hidden: str, third: str) -> str:
    """The activation of the first projection, times the third projection if there is one."""
    name = call.attribute("activation_type", "relu")
    if name in ("swiglu", "geglu"):
        gate, linear = (hidden, third) if third else _halves(call, hidden)
        if name == "swiglu":
            return _swiglu(call, gate, linear)
        return call.add("Mul", [call.add("Gelu", [gate], approximate="tanh"), linear])
    if name == "silu":
        result = silu(call, hidden)
    elif name == "relu2":
        positive = call.add("Relu", [hidden])
        result = call.add("Mul", [positive, positive])
    elif name == "relu":
        result = call.add("Relu", [hidden])
    elif name == "gelu":
        result = call.add("Gelu", [hidden], approximate="tanh")
    elif name == "identity":
        result = hidden
    else:
        call.refuse(f"its activation {name!r} is not known")
    return call.add("Mul", [result, third]) if third else result


def _halves(call: Expansion, source: str) -> tuple[str, str]:
    """Gate and linear part of a fused projection, side by side or interleaved."""
    fusion, inner = call.attribute("swiglu_fusion", 0), _inner_size(call)
    if fusion == 2:
        gate, linear = split(call, source, -1, [inner, inner])
        return gate, linear
    if fusion != 1:
        call.refuse("its gate is neither fused (swiglu_fusion) nor a third projection")
    tokens, experts = call.shape(1)
    pairs = reshape(call, source, experts, tokens, inner, 2)
    gate, linear = (
        reshape(call, part(call, pairs, 3, at, at + 1), experts, tokens, inner) for at in (0, 1)
    )
    return gate, linear


def _swiglu(call: Expansion, gate: str, linear: str) -> str:
    """gate * sigmoid(alpha * gate) * (linear + beta), both clipped if there is a limit."""
    if call.given("swiglu_limit"):
        limit = call.attribute("swiglu_limit", 0.0)
        gate = call.add("Min", [gate, scalar(call, limit)])
        linear = call.add("Clip", [linear, scalar(call, -limit), scalar(call, limit)])
    beta = call.attribute("activation_beta", 0.0)
    if beta:
        linear = call.add("Add", [linear, scalar(call, beta)])
    turned = call.add("Sigmoid", [scaled(call, gate, call.attribute("activation_alpha", 1.0))])
    return call.add("Mul", [call.add("Mul", [gate, turned]), linear])
