"""com.microsoft: mixtures of experts, every expert computing every token."""

from onnx import helper

from t10c.onnx_import.contrib.pieces import (
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
from t10c.onnx_import.names import MICROSOFT
from t10c.onnx_import.registry import expands


@expands("MoE", domain=MICROSOFT)
def expand_experts(call: Expansion) -> None:
    """Mixture of experts: every expert computes every token, those not chosen count as zero."""
    tokens, depth = call.shape(1)[0], call.shape(0)[-1]
    _, first, second = call.shape(4)
    inner = second if first == depth else first
    rows = reshape(call, call.input(0), 1, tokens, depth)
    third = _projected(call, rows, 6, depth) if call.input(6) else ""
    hidden = _activation(call, _projected(call, rows, 2, depth), third, inner)
    _deliver(call, _projected(call, hidden, 4, inner))


@expands("QMoE", domain=MICROSOFT)
def expand_packed_experts(call: Expansion) -> None:
    """Mixture of experts whose weights have 2, 4 or 8 bits; every expert computes every token."""
    if call.attribute("quant_type", "int") != "int":
        call.refuse("weights of 4- or 8-bit floats are not supported")
    if call.attribute("weights_prepacked", -1) == 1:
        call.refuse("weights in the order of one processor are not supported")
    if call.input(14):
        call.refuse("weights apart from the choice of experts (router_weights) are not supported")
    tokens, depth = call.shape(1)[0], call.shape(0)[-1]
    inner = call.shape(5)[2] * 8 // _bits(call, "fc2")
    rows = [reshape(call, call.input(0), tokens, depth)] * call.shape(1)[1]
    third = ""
    if call.input(8):
        third = _packed(call, rows, (8, 13), "fc3", depth)
    hidden = _activation(call, _packed(call, rows, (2, 11), "fc1", depth), third, inner)
    parts = split(call, hidden, 0, [1] * len(rows))
    rows = [reshape(call, each, tokens, inner) for each in parts]
    _deliver(call, _packed(call, rows, (5, 12), "fc2", inner))


def _deliver(call: Expansion, results: str) -> None:
    """Output 0: the sum of what the experts yield, [experts, tokens, hidden], with their shares."""
    if call.attribute("use_sparse_mixer", 0):
        call.refuse("the choice of experts by a sparse mixer is not supported")
    if call.attribute("swiglu_limit_after_activation", 0):
        call.refuse("a limit after the activation is not supported")
    shares = transpose(call, _shares(call, call.shape(1)[1]), 1, 0)
    weighted = call.add("Mul", [results, unsqueeze(call, shares, 2)])
    summed = reduce(call, "ReduceSum", weighted, 0, keepdims=0)
    call.result(0, reshape(call, summed, *call.shape(0)))


def _projected(call: Expansion, rows: str, index: int, depth: int) -> str:
    """Rows times the weights of every expert (input `index`), plus their bias (the next input)."""
    weights, shape = call.input(index), call.shape(index)
    if shape[2] == depth:  # [experts, columns, depth]; the form of before 2025 has them swapped
        weights = transpose(call, weights, 0, 2, 1)
    elif shape[1] != depth:
        call.refuse(f"its weights {list(shape)} do not fit rows of {depth} features")
    bias = unsqueeze(call, call.input(index + 1), 1) if call.input(index + 1) else ""
    return total(call, call.add("MatMul", [rows, weights]), bias)


def _bits(call: Expansion, name: str) -> int:
    return call.attribute(f"{name}_expert_weight_bits", call.attribute("expert_weight_bits", 4))


def _packed(
    call: Expansion, rows: list[str], places: tuple[int, int], name: str, depth: int
) -> str:
    """Each expert's rows times its packed weights, joined to [experts, tokens, columns].

    `places` are the numbers of the weights, scales and bias being next, and of the zero points.
    """
    weights, zero = places
    experts, columns, width = call.shape(weights)
    bits, block = _bits(call, name), call.attribute("block_size", 0) or depth
    if bits == 3 or width * 8 != depth * bits:
        call.refuse(f"its weights of {bits} bits do not hold rows of {depth} features")
    if call.input(zero) and len(call.shape(zero)) == 2 and bits < 8:
        call.refuse("zero points packed along the columns are not supported")
    parts = [columns] * experts
    widths = {weights: width, weights + 1: depth // block}
    if call.input(zero):
        widths[zero] = -1
    operands = [
        split(call, reshape(call, call.input(place), experts * columns, size), 0, parts)
        for place, size in widths.items()
    ]
    options = {"K": depth, "N": columns, "bits": bits, "block_size": block}
    products = []
    for row, *inputs in zip(rows, *operands, strict=True):
        output = call.new_tensors("expert", 1)[0]
        node = helper.make_node(
            "MatMulNBits", [row, *inputs], [output], f"{output}/node", domain=MICROSOFT
        )
        node.attribute.extend(helper.make_attribute(key, value) for key, value in options.items())
        call.nodes.append(node)
        products.append(unsqueeze(call, output, 0))
    bias = call.input(weights + 2)
    joined = call.add("Concat", products, axis=0) if experts > 1 else products[0]
    return total(call, joined, unsqueeze(call, bias, 1) if bias else "")


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


def _activation(call: Expansion, hidden: str, third: str, inner: int) -> str:
    """The activation of the first projection, times the third projection if there is one."""
    name = call.attribute("activation_type", "relu")
    if name in ("swiglu", "geglu"):
        gate, linear = (hidden, third) if third else _halves(call, hidden, inner)
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


def _halves(call: Expansion, source: str, inner: int) -> tuple[str, str]:
    """Gate and linear part of a fused projection, side by side or interleaved."""
    fusion = call.attribute("swiglu_fusion", 0)
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
