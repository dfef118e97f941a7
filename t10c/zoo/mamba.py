"""Mamba blocks: gated causal convolution and selective scan, on hidden states.

The state of block i is the graph inputs `past_conv<i>` and `past_ssm<i>` (decode) and the outputs
`present_conv<i>` [batch, inner, convolution - 1] and `present_ssm<i>` [batch, inner, state].
"""

from dataclasses import dataclass

from onnx import GraphProto

from t10c.zoo.graph import GraphBuilder
from t10c.zoo.layers import linear, rms_norm, silu
from t10c.zoo.request import Workload


@dataclass(frozen=True, slots=True)
class MambaParameters:
    """Hyper-parameters of Mamba blocks: `inner` channels, each with `state` scanned values.

    `rank` is the width of the low-rank projection that gives each channel its step, `convolution`
    the positions that the causal convolution sees.
    """

    layers: int
    hidden: int
    inner: int
    state: int
    convolution: int
    rank: int
    norm_epsilon: float

    def __post_init__(self) -> None:
        if self.convolution < 2:
            raise ValueError("convolution must be at least 2: a position and one before it")


@dataclass(frozen=True, slots=True)
class _Selection:
    """What a block computes from its input for the scan: all [.., batch, size].

    `step` and `x` have the size inner, `write` (B in the paper) and `read` (C) the size state.
    """

    step: str
    x: str
    write: str
    read: str


def build_mamba(g: GraphBuilder, p: MambaParameters, run: Workload) -> None:
    """hidden_states [batch, seq, hidden] (and state) to the same after the blocks, and state."""
    shape = [run.batch, run.seq, p.hidden]
    x = g.input("hidden_states", shape)
    for index in range(p.layers):
        with g.scope(f"layers.{index}"):
            normed = rms_norm(g, x, "norm", p.hidden, p.norm_epsilon)
            x = g.op("Add", x, _mixer(g, p, run, index, normed))
    g.output(x, "output", shape)


def _mixer(g: GraphBuilder, p: MambaParameters, run: Workload, layer: int, x: str) -> str:
    """Gu and Dao 2023 (arXiv 2312.00752), section 3.4 and algorithm 2."""
    with g.scope("mixer"):
        projected = linear(g, x, "in_proj", p.hidden, 2 * p.inner, False)
        x, gate = g.ops("Split", projected, g.ints(p.inner, p.inner), outputs=2, axis=-1)
        x = silu(g, _causal_conv(g, p, run, layer, g.op("Transpose", x, perm=[0, 2, 1])))
        # the scan runs over the first dimension
        x = g.op("Transpose", x, perm=[2, 0, 1])
        scanned = _scan(g, p, run, layer, _select(g, p, x))
        skip = g.op("Mul", x, g.weight("D", [p.inner], "gain"))
        y = g.op("Transpose", g.op("Add", scanned, skip), perm=[1, 0, 2])
        return linear(g, g.op("Mul", y, silu(g, gate)), "out_proj", p.inner, p.hidden, False)


def _causal_conv(g: GraphBuilder, p: MambaParameters, run: Workload, layer: int, x: str) -> str:
    """Depthwise over [batch, inner, seq] and what came before it: the state, or zeros."""
    kept = p.convolution - 1
    shape = [run.batch, p.inner, kept]
    if run.phase == "decode":
        x = g.op("Concat", g.input(f"past_conv{layer}", shape), x, axis=2)
    else:
        x = g.op("Pad", x, g.ints(0, 0, kept, 0, 0, 0))
    with g.scope("conv1d"):
        out = g.op(
            "Conv",
            x,
            g.weight("weight", [p.inner, 1, p.convolution], fan_in=p.convolution),
            g.weight("bias", [p.inner], "offset"),
            group=p.inner,
            kernel_shape=[p.convolution],
        )
    last = g.op("Slice", x, g.ints(run.seq), g.ints(run.seq + kept), g.ints(2))
    g.output(last, f"present_conv{layer}", shape)
    return out


def _select(g: GraphBuilder, p: MambaParameters, x: str) -> _Selection:
    """The steps, and the vectors by which the state is written and read, from x itself."""
    selected = linear(g, x, "x_proj", p.inner, p.rank + 2 * p.state, False)
    sizes = g.ints(p.rank, p.state, p.state)
    low_rank, write, read = g.ops("Split", selected, sizes, outputs=3, axis=-1)
    step = g.op("Softplus", linear(g, low_rank, "dt_proj", p.rank, p.inner, True))
    return _Selection(step, x, write, read)


def _scan(g: GraphBuilder, p: MambaParameters, run: Workload, layer: int, s: _Selection) -> str:
    """y [seq, batch, inner]: a Scan over the positions, or a single step of it."""
    rate = g.op("Neg", g.op("Exp", g.weight("A_log", [p.inner, p.state], "offset")))
    shape = [run.batch, p.inner, p.state]
    if run.phase == "decode":
        state = g.input(f"past_ssm{layer}", shape)
    else:
        state = g.op("ConstantOfShape", g.ints(*shape))
    scanned = (s.step, s.x, s.write, s.read)
    if run.seq == 1:
        now = _Selection(*(g.op("Squeeze", value, g.ints(0)) for value in scanned))
        state, y = _advance(g, state, rate, now)
        y = g.op("Unsqueeze", y, g.ints(0))
    else:
        body = _scan_body(g, p, run, rate)
        state, y = g.ops("Scan", state, *scanned, outputs=2, body=body, num_scan_inputs=4)
    g.output(state, f"present_ssm{layer}", shape)
    return y


def _scan_body(g: GraphBuilder, p: MambaParameters, run: Workload, rate: str) -> GraphProto:
    """One step as a subgraph: the state and a position's selection to the state and y."""
    with g.scope("scan"):
        body = g.body()
        prefix = g.path()
        state_shape, channels = [run.batch, p.inner, p.state], [run.batch, p.inner]
        vector = [run.batch, p.state]
        state = body.input(f"{prefix}/state", state_shape)
        shapes = (("step", channels), ("x", channels), ("write", vector), ("read", vector))
        now = _Selection(*(body.input(f"{prefix}/{name}", shape) for name, shape in shapes))
        state, y = _advance(body, state, rate, now)
        body.output(state, f"{prefix}/next_state", state_shape)
        body.output(y, f"{prefix}/y", channels)
        return body.finish_body("scan")


def _advance(g: GraphBuilder, state: str, rate: str, now: _Selection) -> tuple[str, str]:
    """The next state [batch, inner, state] and y [batch, inner].

    state = exp(step * rate) * state + (step * x) write^T;  y = state read
    """
    step = g.op("Unsqueeze", now.step, g.ints(2))
    decay = g.op("Exp", g.op("Mul", step, rate))
    gain = g.op("Unsqueeze", g.op("Mul", now.step, now.x), g.ints(2))
    added = g.op("Mul", gain, g.op("Unsqueeze", now.write, g.ints(1)))
    state = g.op("Add", g.op("Mul", decay, state), added)
    read = g.op("MatMul", state, g.op("Unsqueeze", now.read, g.ints(2)))
    return state, g.op("Squeeze", read, g.ints(2))
