"""Damaged nodes on which onnx's inference would end the process instead of raising an error."""

from collections.abc import Sequence

from onnx import NodeProto

from t10c.errors import InvalidInputError
from t10c.onnx_import.names import describe, standard
from t10c.onnx_import.tensors import TensorFact


def check_for_inference(node: NodeProto, facts: Sequence[TensorFact | None]) -> None:
    """Raise InvalidInputError for a node that must not be handed to onnx.

    `facts` are those of the node's inputs, which are as many as its operator takes.
    """
    if not standard(node.domain):
        return
    if node.op_type == "Split":
        parts = _split_parts(node, facts)
        if parts is not None and parts != len(node.output):
            raise InvalidInputError(
                f"{describe(node)}: it has {len(node.output)} outputs, but splits into {parts}"
            )


def _split_parts(node: NodeProto, facts: Sequence[TensorFact | None]) -> int | None:
    """Into how many parts a Split says it splits; None if it does not say so."""
    lengths = facts[1] if len(facts) > 1 else None
    if lengths is not None:
        return lengths.shape[0] if lengths.shape else 1
    for attribute in node.attribute:
        if attribute.name == "num_outputs":
            return int(attribute.i)
        if attribute.name == "split":
            return len(attribute.ints)
    return None
