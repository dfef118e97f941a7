"""The value of one node whose inputs are known, by the ONNX reference evaluator."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import NodeProto

from t10c.errors import InvalidInputError
from t10c.onnx_import.names import NEWEST_DOMAIN, describe, standard
from t10c.onnx_import.tensors import VALUE_LIMIT_BYTES, TensorFact

# Operators that give another result in every inference.
RANDOM = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)

# The reference evaluator loops over elements in Python for these; no shape depends on them.
_SLOW = frozenset(
    {
        "AveragePool", "Conv", "ConvInteger", "ConvTranspose", "DFT", "DeformConv", "GRU",
        "GridSample", "LSTM", "LpPool", "MaxPool", "MaxUnpool", "QLinearConv", "RNN", "Resize",
        "RoiAlign", "STFT", "Upsample",
    }
)  # fmt: skip

# The evaluator has no earlier DequantizeLinear; this one does what those before it did.
_DEQUANTISES_FROM = 19

# Operators whose output is no larger than their inputs, though its shape depends on their values.
SHRINKING = frozenset({"Compress", "NonMaxSuppression", "NonZero", "Unique"})


def evaluate(
    node: NodeProto,
    values: Sequence[np.ndarray | None],
    versions: Mapping[str, int],
    limit_bytes: int = VALUE_LIMIT_BYTES,
    patient: bool = False,
) -> list[np.ndarray] | None:
    """The node's outputs for known inputs (None for an absent one).

    `patient` evaluates what takes the evaluator long, too. Returns None if the evaluator does not
    know the operator or an output is too large. Raises InvalidInputError if the inputs are wrong
    for it, such as an index out of range.
    """
    if not standard(node.domain) or (node.op_type in _SLOW and not patient):
        return None
    from onnx.reference import ReferenceEvaluator

    version = versions[""]
    if node.domain == NEWEST_DOMAIN:
        original, node = node, onnx.NodeProto()
        node.CopyFrom(original)
        node.domain, version = "", onnx.defs.onnx_opset_version()
    if node.op_type == "DequantizeLinear":
        version = max(version, _DEQUANTISES_FROM)

    outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name]
    graph = onnx.helper.make_graph([node], "fold", [], outputs)
    feeds = {
        name: value for name, value in zip(node.input, values, strict=True) if value is not None
    }
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of NumPy, on means of nothing and the like
            results = ReferenceEvaluator(graph, opsets={"": version}).run(None, feeds)
    except (IndexError, ValueError, ZeroDivisionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidInputError(
            f"{describe(node)}: cannot be computed from its constant inputs: {reason[:200]}"
        ) from error
    except Exception:
        # gaps of the evaluator: no implementation, or one that does not take these types
        return None
    arrays = [np.asarray(result) for result in results]
    if any(array.nbytes > limit_bytes or array.dtype == object for array in arrays):
        return None
    return [np.array(array) for array in arrays]


def of_nothing(
    node: NodeProto,
    facts: Sequence[TensorFact | None],
    output: TensorFact,
    versions: Mapping[str, int],
) -> np.ndarray | None:
    """A reduction of no elements: the same number everywhere, over whatever axes; else None."""
    first = facts[0] if facts else None
    if first is None or 0 not in first.shape or not node.op_type.startswith("Reduce"):
        return None
    plain = onnx.helper.make_node(node.op_type, node.input[:1], node.output[:1], keepdims=0)
    plain.domain = node.domain
    nothing = np.zeros(0, onnx.helper.tensor_dtype_to_np_dtype(first.element_type))
    values = evaluate(plain, [nothing], versions)
    if not values or values[0].size != 1:
        return None
    return np.array(np.broadcast_to(values[0].reshape(()), output.shape))
