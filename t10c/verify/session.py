"""A model in ONNX Runtime: the numbers that a plan must reproduce."""

import importlib
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx

from t10c.errors import FileAccessError, InvalidInputError, UsageError
from t10c.verify.export import (
    SERIALISED_LIMIT_BYTES,
    data_bytes,
    with_outputs,
    write_external,
)

_SEVERITY_FATAL = 4
"""What ONNX Runtime logs would stand beside the one line of our error."""


class Session:
    """A model with all weights, ready to run; a context manager, since it may hold files.

    Values between the operators keep their names, as graph optimisation is off, and one thread
    computes, so that the results are the same every time. `wanted` are names of values to return,
    graph outputs or any others. Weights of more than `limit_bytes` in all are handed over in a
    temporary file. Raises UsageError without ONNX Runtime, InvalidInputError if it does
    not accept the model, and FileAccessError if there has to be a file and it cannot be written.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        wanted: Iterable[str],
        limit_bytes: int = SERIALISED_LIMIT_BYTES,
    ) -> None:
        self._runtime = runtime()
        self._wanted = list(dict.fromkeys(wanted))
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        try:
            self._session = self._open(self._source(model, limit_bytes))
        except BaseException:
            self.close()
            raise

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The wanted values for these inputs, in the order in which they were asked for.

        Raises InvalidInputError if ONNX Runtime fails.
        """
        try:
            results = self._session.run(self._wanted, dict(feeds))
        except Exception as error:
            # ONNX Runtime has an exception class of its own for every status it knows
            raise InvalidInputError(f"ONNX Runtime cannot run the model: {_line(error)}") from error
        return {n: np.asarray(a) for n, a in zip(self._wanted, results, strict=True)}

    def close(self) -> None:
        """Remove the files that the session may have written."""
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _source(self, model: onnx.ModelProto, limit_bytes: int) -> bytes | str:
        """The model as bytes, or the path of a file of it, which takes less memory."""
        size_bytes = data_bytes(model)
        if size_bytes > limit_bytes:
            try:
                self._directory = tempfile.TemporaryDirectory(prefix="t10c-verify-")
                return str(write_external(model, self._wanted, Path(self._directory.name)))
            except OSError as error:
                if size_bytes > SERIALISED_LIMIT_BYTES:
                    raise FileAccessError(
                        f"cannot write {size_bytes / 2**30:.1f} GiB of weights for ONNX Runtime to "
                        f"'{tempfile.gettempdir()}': {error.strerror}\n"
                        "name a directory with more room: TMPDIR=DIRECTORY t10c verify ..."
                    ) from error
        return bytes(with_outputs(model, self._wanted).SerializeToString())

    def _open(self, source: bytes | str) -> Any:
        options = self._runtime.SessionOptions()
        options.graph_optimization_level = self._runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _SEVERITY_FATAL
        try:
            return self._runtime.InferenceSession(
                source, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise InvalidInputError(
                f"ONNX Runtime does not accept the model: {_line(error)}"
            ) from error


def run_model(
    model: onnx.ModelProto,
    feeds: Mapping[str, np.ndarray],
    wanted: Iterable[str],
    limit_bytes: int = SERIALISED_LIMIT_BYTES,
) -> dict[str, np.ndarray]:
    """Run a model once; arguments and errors are those of `Session`."""
    with Session(model, wanted, limit_bytes) as session:
        return session.run(feeds)


def runtime() -> ModuleType:
    """ONNX Runtime; raises UsageError if it is not installed, or cannot be imported."""
    try:
        module = importlib.import_module("onnxruntime")
        if not hasattr(module, "InferenceSession"):
            raise ImportError("it has no InferenceSession")
        return module
    except Exception as error:
        # a broken installation may raise anything: what it is made of is native code
        absent = isinstance(error, ModuleNotFoundError) and error.name == "onnxruntime"
        fault = "is not installed" if absent else f"cannot be imported: {_cause(error)}"
        again = "" if absent else " --force-reinstall"
        raise UsageError(
            f"t10c verify compares with ONNX Runtime, which {fault}\n"
            f"install it with: pip install{again} 't10c[verify]'"
        ) from error


def _cause(error: Exception) -> str:
    """An error by its class and its own message, in one line."""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _line(error: Exception) -> str:
    """The message of an error in one line, without ONNX Runtime's own code in front."""
    text = " ".join(str(error).split())
    for mark in ("[ONNXRuntimeError] : ", "Error: "):
        text = text.rpartition(mark)[2] if mark in text[:40] else text
    return text[:300]
