"""The interface of onnx.backend.base."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.backend.base import Backend

from t10c.backend.rep import T10cBackendRep
from t10c.errors import T10cError, UsageError


class T10cBackend(Backend):
    """The interface of onnx.backend.base, on one simulated chip."""

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether `prepare` takes the model; values of its inputs may still make it fail later."""
        try:
            cls.prepare(model, device, **kwargs)
        except T10cError:
            return False
        return True

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> T10cBackendRep:
        """Plan a model, as far as that needs no inputs.

        Raises UsageError for another device, InvalidInputError and UnsupportedOperatorError for
        what cannot be imported, and DoesNotFitError.
        """
        if not cls.supports_device(device):
            raise UsageError(f"t10c has no device '{device}'; use CPU, which simulates the chip")
        return T10cBackendRep(model)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Run one node on arrays, in the order of its inputs that are there.

        `opset_version` is that of the node's domain; otherwise it is the newest. Raises what
        `prepare` and `T10cBackendRep.run` raise.
        """
        version = kwargs.pop("opset_version", None)
        names = [name for name in dict.fromkeys(node.input) if name]
        arrays = [np.asarray(array) for array in inputs]
        if len(arrays) != len(names):
            raise UsageError(
                f"{len(arrays)} inputs are given, node '{node.name}' ({node.op_type}) has "
                f"{len(names)}"
            )
        infos = [
            _info(name, array.dtype, array.shape) for name, array in zip(names, arrays, strict=True)
        ]
        model = _model_of(node, infos, outputs_info, version)
        return cls.prepare(model, device, **kwargs).run(arrays)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """CPU is the only device."""
        return device.partition(":")[0] == "CPU"


def _model_of(
    node: onnx.NodeProto,
    inputs: list[onnx.ValueInfoProto],
    outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None,
    version: int | None,
) -> onnx.ModelProto:
    """A model of one node; types of outputs that are not given are inferred."""
    names = [name for name in node.output if name]
    if outputs_info is None:
        outputs = [onnx.ValueInfoProto(name=name) for name in names]
    else:
        outputs = [_info(n, *given) for n, given in zip(names, outputs_info, strict=False)]
    graph = helper.make_graph([node], node.name or node.op_type, inputs, outputs)
    opsets = {"": onnx.defs.onnx_opset_version()}
    opsets[node.domain] = _newest(node.domain) if version is None else version
    imports = [helper.make_opsetid(domain, number) for domain, number in opsets.items()]
    return helper.make_model(graph, opset_imports=imports)


def _info(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, kind, shape)


def _newest(domain: str) -> int:
    """Newest version of a domain that onnx knows, 1 for one that it does not know."""
    schemas = onnx.defs.get_all_schemas_with_history()
    return max((s.since_version for s in schemas if s.domain == domain), default=1)
