"""Decoder-only models with a cache: attention, masks, experts, against NumPy formulations."""

import numpy as np
import pytest
from onnx import numpy_helper
from zoo_models import (
    GEMMA,
    LLAMA,
    MIXTRAL,
    OPT,
    as_past,
    assert_equals_end_of,
    feeds,
    run,
    small,
)

CACHED = [OPT, LLAMA, GEMMA, MIXTRAL]


@pytest.mark.parametrize(("seq", "new"), [(9, 1), (9, 4)])
@pytest.mark.parametrize("name", CACHED)
def test_decoding_with_a_cache_equals_prefill(name: str, seq: int, new: int) -> None:
    whole = small(name, seq=seq)
    inputs = feeds(whole)
    expected = run(whole, inputs)

    past = seq - new
    head = {key: value[:, :past] for key, value in inputs.items()}
    cache = run(small(name, seq=past), head)
    decoded = run(
        small(name, phase="decode", seq=new, past=past),
        {
            "input_ids": inputs["input_ids"][:, past:],
            "position_ids": inputs["position_ids"][:, past:],
            "attention_mask": inputs["attention_mask"],
            **as_past(cache),
        },
    )
    assert_equals_end_of(decoded, expected, past)


@pytest.mark.parametrize("name", CACHED)
def test_decoder_is_causal(name: str) -> None:
    model = small(name)
    inputs = feeds(model)
    before = run(model, inputs)["logits"]
    changed = inputs["input_ids"].copy()
    changed[:, -1] += 1
    changed[:, -1] %= 50
    after = run(model, {**inputs, "input_ids": changed})["logits"]
    np.testing.assert_array_equal(before[:, :-1], after[:, :-1])
    assert np.abs(before[:, -1] - after[:, -1]).max() > 1e-2


@pytest.mark.parametrize("name", [*CACHED, "bert-large"])
def test_masked_positions_have_no_influence(name: str) -> None:
    model = small(name)
    inputs = feeds(model)
    inputs["attention_mask"][:, 0] = 0
    output = "last_hidden_state" if name == "bert-large" else "logits"
    before = run(model, inputs)[output]
    inputs["input_ids"][:, 0] = (inputs["input_ids"][:, 0] + 1) % 50
    after = run(model, inputs)[output]
    np.testing.assert_array_equal(before[:, 1:], after[:, 1:])
    assert np.abs(before[:, 0] - after[:, 0]).max() > 1e-2


def test_rotary_positions_matter_only_relative_to_each_other() -> None:
    model = small(LLAMA)
    inputs = feeds(model)
    logits = run(model, inputs)["logits"]
    shifted = run(model, {**inputs, "position_ids": inputs["position_ids"] + 5})["logits"]
    spread = run(model, {**inputs, "position_ids": inputs["position_ids"] * 2})["logits"]
    np.testing.assert_allclose(logits, shifted, rtol=1e-3, atol=1e-3)
    assert np.abs(logits - spread).max() > 1e-2


def test_grouped_heads_equal_full_heads_with_repeated_weights() -> None:
    grouped = small(LLAMA, overrides={"kv_heads": "2"})
    full = small(LLAMA)
    weights = {w.name: numpy_helper.to_array(w) for w in grouped.graph.initializer}
    for tensor in full.graph.initializer:
        value = weights.get(tensor.name)
        if value is not None and (".k_proj" in tensor.name or ".v_proj" in tensor.name):
            value = value.reshape(64, 2, 1, 16).repeat(2, axis=2).reshape(64, 64)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    inputs = feeds(full)
    np.testing.assert_allclose(
        run(grouped, inputs)["logits"], run(full, inputs)["logits"], rtol=1e-4, atol=1e-4
    )
