"""DFT and STFT against NumPy's transforms and ONNX Runtime."""

import numpy as np
import pytest
from graph_numpy import check, lower, random_feeds, runtime_results
from onnx import ModelProto, TensorProto
from onnx_models import model, node, value

from t10c.ir.graph import Graph, LayoutOp


def kinds(graph: Graph) -> list[str]:
    return [op.kind if isinstance(op, LayoutOp) else op.expression.kernel for op in graph.operators]


def dft(
    shape: list[int],
    axis: int,
    opset: int = 20,
    length: int | None = None,
    element_type: int = TensorProto.FLOAT,
    **attributes: int,
) -> ModelProto:
    constants = {} if length is None else {"n": np.array(length, np.int64)}
    names = "x n" if constants else "x _"
    if opset < 20:
        attributes["axis"] = axis
    else:
        constants["a"] = np.array(axis, np.int64)
        names += " a"
    made = node("DFT", names, "y", "dft", **attributes)
    return model([made], [value("x", shape, element_type)], ["y"], constants, opset, 9)


def as_complex(array: np.ndarray) -> np.ndarray:
    return array[..., 0] + (1j * array[..., 1] if array.shape[-1] == 2 else 0)


def as_parts(array: np.ndarray) -> np.ndarray:
    return np.stack([array.real, array.imag], -1).astype(np.float32)


@pytest.mark.parametrize("opset", [17, 20])
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("axis", [0, 1, -2])
@pytest.mark.parametrize("length", [None, 3, 8])
@pytest.mark.parametrize("inverse", [0, 1])
def test_all_frequencies(
    opset: int, parts: int, axis: int, length: int | None, inverse: int
) -> None:
    made = dft([4, 6, 5, parts], axis, opset, length, inverse=inverse)
    feeds = random_feeds(made, 7)
    transform = np.fft.ifft if inverse else np.fft.fft
    expected = transform(as_complex(feeds["x"]), length, axis % 4)
    graph = check(made, feeds=feeds, expected=[as_parts(expected)])
    assert kinds(graph) == ["slice", "matmul"][length != 3 :]


@pytest.mark.parametrize("opset", [17, 20])
@pytest.mark.parametrize("length", [None, 4, 7, 12])
@pytest.mark.parametrize("size", [6, 7])
def test_one_side_of_the_spectrum(opset: int, length: int | None, size: int) -> None:
    made = dft([2, size, 1], 1, opset, length, onesided=1)
    feeds = random_feeds(made, 7)
    expected = np.fft.rfft(feeds["x"][..., 0], length, 1)
    check(made, feeds=feeds, expected=[as_parts(expected)])


@pytest.mark.parametrize("length", [None, 5, 8, 13])
def test_real_signal_from_one_side(length: int | None) -> None:
    made = dft([2, 5, 2], 1, 20, length, onesided=1, inverse=1)
    feeds = random_feeds(made, 7)
    expected = np.fft.irfft(as_complex(feeds["x"]), length, 1)[..., None].astype(np.float32)
    check(made, feeds=feeds, expected=[expected])


def test_signal_of_doubles_and_of_one_sample() -> None:
    check(dft([2, 5, 2], 1, element_type=TensorProto.DOUBLE))
    check(dft([3, 1, 1], 1))


def test_length_that_is_data_is_that_of_the_declared_output() -> None:
    made = node("DFT", "x n", "y", "dft", axis=1)
    inputs = [value("x", [1, 4, 2]), value("n", [], TensorProto.INT64)]
    built = model([made], inputs, [value("y", [1, 6, 2])])
    feeds = {"x": random_feeds(built, 7)["x"], "n": np.array(6)}
    expected = as_parts(np.fft.fft(as_complex(feeds["x"]), 6, 1))
    assert kinds(check(built, feeds=feeds, expected=[expected])) == ["matmul"]


def test_one_side_of_a_spectrum_whose_length_is_data_runs_on_one_core() -> None:
    made = node("DFT", "x n", "y", "dft", axis=1, onesided=1)
    inputs = [value("x", [1, 4, 1]), value("n", [], TensorProto.INT64)]
    graph = lower(model([made], inputs, [value("y", [1, 3, 2])]))
    assert "length depends on data" in graph.nodes[-1].note


def stft(
    parts: int, step: int, length: int | None, window: int | None, data: bool, onesided: int | None
) -> ModelProto:
    inputs = [value("x", [2, 32, parts])]
    constants: dict[str, np.ndarray] = {"s": np.array(step)}
    if window and data:
        inputs.append(value("w", [window]))
    elif window:
        constants["w"] = np.hanning(window).astype(np.float32)
    if length:
        constants["n"] = np.array(length)
    attributes = {} if onesided is None else {"onesided": onesided}
    names = f"x s {'w' if window else '_'} {'n' if length else '_'}"
    return model([node("STFT", names, "y", "stft", **attributes)], inputs, ["y"], constants)


@pytest.mark.parametrize(("length", "window"), [(8, None), (8, 8), (None, 7)])
@pytest.mark.parametrize("step", [1, 3, 8])
@pytest.mark.parametrize("data", [False, True])
@pytest.mark.parametrize("onesided", [None, 0, 1])
def test_frames(
    length: int | None, window: int | None, step: int, data: bool, onesided: int | None
) -> None:
    made = stft(1, step, length, window, data, onesided)
    feeds = random_feeds(made, 7)
    graph = check(made, feeds=feeds, expected=runtime_results(made, feeds))
    assert kinds(graph) == ["pointwise", "conv"][not (window and data) :]


def test_frames_of_complex_signals() -> None:
    made = stft(2, 4, 8, 8, False, 0)
    feeds = random_feeds(made, 7)
    window = np.hanning(8).astype(np.float32)
    frames = [as_complex(feeds["x"])[:, at : at + 8] * window for at in range(0, 25, 4)]
    expected = as_parts(np.fft.fft(np.stack(frames, 1), axis=2))
    check(made, feeds=feeds, expected=[expected])


def test_stft_of_signals_without_a_last_dimension_as_runtimes_take_them() -> None:
    made = model(
        [node("STFT", "x step window", "y")],
        [value("x", [2, 32])],
        ["y"],
        {"step": np.array(4), "window": np.hanning(16).astype(np.float32)},
    )
    feeds = random_feeds(made, 4)
    check(made, feeds=feeds, expected=runtime_results(made, feeds))
