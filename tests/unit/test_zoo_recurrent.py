"""Models with a state of fixed size: all positions at once equal one after the other."""

import numpy as np
import pytest
from onnx import ModelProto
from zoo_models import Array, as_past, feeds, run, small, weights_of
from zoo_numpy import Weights, dense, gelu, layer_norm, rms_norm, rotated, sigmoid, silu

from t10c.errors import UsageError
from t10c.zoo import build_model

RETNET, MAMBA, LSTM = "retnet-1.3b", "mamba-2.8b", "lstm-ptb-large"
STATEFUL = [RETNET, MAMBA, LSTM]


def main_output(name: str) -> str:
    return "output" if name == MAMBA else "logits"


@pytest.mark.parametrize("steps", [[9], [4, 5], [8, 1], [1] * 9, [1, 3, 1, 4]])
@pytest.mark.parametrize("name", STATEFUL)
def test_pieces_of_a_sequence_give_what_the_whole_does(name: str, steps: list[int]) -> None:
    whole = small(name, seq=9)
    inputs = feeds(whole)
    expected = run(whole, inputs)
    state: dict[str, Array] = {}
    parts, first = [], 0
    for length in steps:
        model = small(name, seq=length, phase="decode" if state else "prefill")
        piece = {key: value[:, first : first + length] for key, value in inputs.items()}
        outputs = run(model, {**piece, **state})
        state = as_past(outputs)
        parts.append(outputs[main_output(name)])
        first += length
    together = np.concatenate(parts, axis=1)
    np.testing.assert_allclose(together, expected[main_output(name)], rtol=1e-3, atol=1e-4)
    for key, value in as_past(expected).items():
        np.testing.assert_allclose(state[key], value, rtol=1e-3, atol=1e-4, err_msg=key)


@pytest.mark.parametrize("name", STATEFUL)
def test_later_positions_do_not_change_earlier_ones(name: str) -> None:
    model = small(name)
    inputs = feeds(model)
    before = run(model, inputs)[main_output(name)]
    key = "hidden_states" if name == MAMBA else "input_ids"
    changed = inputs[key].copy()
    changed[:, -1] = (changed[:, -1] + 1) % 50
    after = run(model, {**inputs, key: changed})[main_output(name)]
    np.testing.assert_array_equal(before[:, :-1], after[:, :-1])
    assert np.abs(before[:, -1] - after[:, -1]).max() > 1e-2


def operators(model: ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}


def test_a_single_position_needs_no_scan_and_no_matrix_of_decays() -> None:
    assert "Scan" in operators(small(MAMBA))
    assert "Scan" not in operators(small(MAMBA, seq=1, phase="decode"))
    assert "Range" in operators(small(RETNET))
    assert "Range" not in operators(small(RETNET, seq=1, phase="decode"))


def reference_retention(x: Array, w: Weights, at: str, heads: int) -> Array:
    """Sun et al. 2023, equation 6, a position and a head after the other, then norm and gate."""
    size = x.shape[1] // heads
    queries, keys, values = (dense(x, w, f"{at}.{name}_proj") for name in "qkv")
    out = np.zeros((len(x), heads, 2 * size))
    for h in range(heads):
        decay = 1 - 2.0 ** -(5 + h)
        state = np.zeros((size, 2 * size))
        for n in range(len(x)):
            key, query = (
                rotated(array[n, h * size : (h + 1) * size], n, 10000.0)
                for array in (keys, queries)
            )
            value = values[n, 2 * h * size : 2 * (h + 1) * size]
            state = decay * state + np.outer(key, value)
            out[n, h] = query @ state / np.sqrt(size)
    out -= out.mean(-1, keepdims=True)
    out /= np.sqrt((out**2).mean(-1, keepdims=True) + 1e-5)
    gate = silu(dense(x, w, f"{at}.g_proj"))
    return dense(gate * out.reshape(len(x), -1), w, f"{at}.out_proj")


def test_retnet_is_the_recurrence_of_its_paper() -> None:
    model = small(RETNET, seq=7)
    inputs, w = feeds(model), weights_of(model)
    for ids, logits in zip(inputs["input_ids"], run(model, inputs)["logits"], strict=True):
        x = w["embed_tokens"][ids].astype(np.float64) * 8
        for layer in range(2):
            at = f"layers.{layer}"
            normed = layer_norm(x, w, f"{at}.retention_layer_norm", 1e-5)
            x = x + reference_retention(normed, w, f"{at}.retention", 4)
            normed = layer_norm(x, w, f"{at}.final_layer_norm", 1e-5)
            x = x + dense(gelu(dense(normed, w, f"{at}.ffn.fc1")), w, f"{at}.ffn.fc2")
        expected = layer_norm(x, w, "layer_norm", 1e-5) @ w["embed_tokens"].T
        np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-3)


def reference_mamba(x: Array, w: Weights, at: str) -> Array:
    """Gu and Dao 2023, algorithm 2, a position after the other, for [seq, hidden]."""
    projected = dense(x, w, f"{at}.in_proj")
    inner = projected.shape[1] // 2
    kernel = w[f"{at}.conv1d"][:, 0].astype(np.float64)
    rate = -np.exp(w[f"{at}.A_log"].astype(np.float64))
    states = rate.shape[1]
    state = np.zeros((inner, states))
    past = [np.zeros(inner)] * kernel.shape[1]
    out = []
    for step in projected:
        past = [*past[1:], step[:inner]]
        u = silu(sum(k * v for k, v in zip(kernel.T, past, strict=True)) + w[f"{at}.conv1d.bias"])
        selected = dense(u, w, f"{at}.x_proj")
        low_rank = selected[: -2 * states]
        write, read = selected[-2 * states : -states], selected[-states:]
        delta = np.log1p(np.exp(dense(low_rank, w, f"{at}.dt_proj")))
        for channel in range(inner):
            decay = np.exp(delta[channel] * rate[channel])
            state[channel] = decay * state[channel] + delta[channel] * u[channel] * write
        y = state @ read + w[f"{at}.D"] * u
        out.append(dense(y * silu(step[inner:]), w, f"{at}.out_proj"))
    return np.stack(out)


@pytest.mark.parametrize("seq", [1, 2, 7])
def test_mamba_is_the_scan_of_its_paper(seq: int) -> None:
    model = small(MAMBA, seq=seq)
    inputs, w = feeds(model), weights_of(model)
    for x, actual in zip(inputs["hidden_states"], run(model, inputs)["output"], strict=True):
        for layer in range(2):
            at = f"layers.{layer}"
            x = x + reference_mamba(rms_norm(x, w[f"{at}.norm"], 1e-5), w, f"{at}.mixer")
        np.testing.assert_allclose(actual, x, rtol=1e-3, atol=1e-4)


def test_lstm_is_two_layers_of_gated_cells() -> None:
    model = small(LSTM)
    inputs, w = feeds(model), weights_of(model)
    for ids, logits in zip(inputs["input_ids"], run(model, inputs)["logits"], strict=True):
        x = w["embedding"][ids].astype(np.float64)
        for layer in range(2):
            first, second, bias = (w[f"lstm.{layer}.{name}"][0] for name in "WRB")
            hidden = cell = np.zeros(24)
            out = []
            for step in x:
                gates = first @ step + second @ hidden + bias[:96] + bias[96:]
                # ONNX orders the gates input, output, forget, cell
                enter, leave, keep, new = np.split(gates, 4)
                cell = sigmoid(keep) * cell + sigmoid(enter) * np.tanh(new)
                hidden = sigmoid(leave) * np.tanh(cell)
                out.append(hidden)
            x = np.stack(out)
        np.testing.assert_allclose(logits, dense(x, w, "decoder"), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (RETNET, {"phase": "decode", "past": 8}, "keeps a state of fixed size: leave out --past"),
        (RETNET, {"seq": 2049}, "2049 positions and the model 2048"),
        (RETNET, {"overrides": {"heads": "3"}}, "multiple of 2 x heads (6)"),
        (MAMBA, {"overrides": {"convolution": "1"}}, "convolution must be at least 2"),
        (LSTM, {"past": 8}, "--phase decode"),
    ],
)
def test_wrong_arguments_are_named(name: str, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_model(name, **arguments)  # type: ignore[arg-type]
    assert message in str(caught.value)
