"""A rough cost of nodes at import: which branch of an `If` is the costlier one."""

import math
from collections.abc import Iterable, Mapping

from onnx import NodeProto

from t10c.onnx_import.tensors import TensorFact


def operations(nodes: Iterable[NodeProto], facts: Mapping[str, TensorFact]) -> int:
    """Elements that the nodes read or write, whichever is more, and twice the multiplications.

    A product (MatMul, Gemm, Conv and their relatives) counts two operations for every element of
    its output and of the dimensions it sums over.
    """
    return sum(_operations(node, facts) for node in nodes)


def _operations(node: NodeProto, facts: Mapping[str, TensorFact]) -> int:
    shapes = [facts[name].shape for name in node.input if name]
    output = max((math.prod(facts[name].shape) for name in node.output if name), default=0)
    if len(shapes) > 1:
        match node.op_type:
            case "Conv" | "ConvInteger" | "FusedConv":
                return 2 * output * math.prod(shapes[1][1:])
            case "ConvTranspose":
                return 2 * math.prod(shapes[0]) * math.prod(shapes[1][1:])
            case "MatMul" | "MatMulInteger" | "FusedMatMul" if shapes[0]:
                return 2 * output * shapes[0][-1]
            case "Gemm" if len(shapes[0]) == 2:
                flipped = any(a.name == "transA" and a.i for a in node.attribute)
                return 2 * output * shapes[0][0 if flipped else 1]
    return max([output, *map(math.prod, shapes)])
