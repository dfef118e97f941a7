"""Shape inference of one node whose inputs are known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import AttributeProto, NodeProto, TensorProto, TypeProto, numpy_helper
from onnx.checker import ValidationError
from onnx.defs import OpSchema, SchemaError
from onnx.shape_inference import InferenceError, infer_function_output_types, infer_node_outputs

from t10c.errors import InvalidInputError
from t10c.onnx_import.build import Names
from t10c.onnx_import.corrections import element_mismatch, without_windows_in_padding
from t10c.onnx_import.expansion import Expansion
from t10c.onnx_import.guards import check_for_inference
from t10c.onnx_import.inline import NotInlinableError
from t10c.onnx_import.names import NEWEST_DOMAIN, NameScope, describe
from t10c.onnx_import.registry import EXPANSIONS, LOWERINGS, SHAPES
from t10c.onnx_import.tensors import (
    OpenFact,
    TensorFact,
    check_size,
    element_type_name,
    shape_text,
)
from t10c.suggest import closest

DATA_LIMIT = 1024
"""Elements of a value that inference sees: shapes, axes, pads and scales are short."""

# Operators of whose outputs the schema gives no shape: it is the first input's.
_SAME_SHAPE = frozenset({"GroupNormalization", "MeanVarianceNormalization", "Dropout"})


_ATTRIBUTE_TYPES = dict(AttributeProto.AttributeType.items())

Inferred = TensorFact | OpenFact | None
"""An output: of known shape, of a shape that depends on data, or absent."""


class UnknownOperatorError(Exception):
    """The installed onnx has no such operator in this opset; the message says why."""


class NotATensorError(Exception):
    """An output is a sequence, an optional or a map."""


@dataclass(frozen=True, slots=True)
class _Form:
    """What a schema demands of a node before its inputs are looked at."""

    types: Mapping[str, int]
    required: tuple[str, ...]
    inputs: tuple[int, int]
    outputs: int


class ShapeInference:
    """Infers the outputs of single nodes under the opset versions of a model."""

    def __init__(self, versions: Mapping[str, int]) -> None:
        self._versions = {**versions, NEWEST_DOMAIN: onnx.defs.onnx_opset_version()}
        self._imports = [onnx.helper.make_opsetid(d, v) for d, v in versions.items()]
        newest = self._versions[NEWEST_DOMAIN]
        self._newest = [onnx.helper.make_opsetid("", newest)]
        self._schemas: dict[tuple[str, str], tuple[OpSchema, _Form]] = {}

    def schema(self, node: NodeProto) -> OpSchema:
        """The operator's schema; raises UnknownOperatorError."""
        return self._known(node)[0]

    def _known(self, node: NodeProto) -> tuple[OpSchema, _Form]:
        key = node.domain, node.op_type
        if key not in self._schemas:
            schema = self._find_schema(node)
            attributes = schema.attributes.values()
            self._schemas[key] = (
                schema,
                _Form(
                    {a.name: _ATTRIBUTE_TYPES[str(a.type).rpartition(".")[2]] for a in attributes},
                    tuple(a.name for a in attributes if a.required),
                    (schema.min_input, schema.max_input),
                    schema.max_output,
                ),
            )
        return self._schemas[key]

    def _find_schema(self, node: NodeProto) -> OpSchema:
        version = self._versions.get(node.domain)
        if version is None:
            raise UnknownOperatorError(f"domain {node.domain} is not in the model's opset_import")
        schema_domain = "" if node.domain == NEWEST_DOMAIN else node.domain
        try:
            return onnx.defs.get_schema(node.op_type, version, schema_domain)
        except SchemaError:
            pass
        if schema_domain not in onnx_domains():
            raise UnknownOperatorError(_unknown_domain(node))
        domain = schema_domain or "ai.onnx"
        try:
            since = onnx.defs.get_schema(node.op_type, domain=node.domain).since_version
        except SchemaError:
            raise UnknownOperatorError(f"there is no such operator in {domain}") from None
        raise UnknownOperatorError(
            f"{domain} has it from opset {since} on, the model uses {version}"
        )

    def check_form(self, node: NodeProto) -> None:
        """Check the numbers of inputs and outputs, and which attributes there are of which type.

        Raises InvalidInputError or UnknownOperatorError.
        """
        form = self._known(node)[1]
        present = {attribute.name: attribute for attribute in node.attribute}
        for name in form.required:
            if name not in present:
                raise InvalidInputError(f"{describe(node)}: the attribute '{name}' is missing")
        for name, attribute in present.items():
            if attribute.ref_attr_name:
                raise InvalidInputError(
                    f"{describe(node)}: the attribute '{name}' refers to one of a function, "
                    "but the node is in none"
                )
            wanted = form.types.get(name, attribute.type)
            if attribute.type != wanted:
                kinds = (AttributeProto.AttributeType.Name(k) for k in (attribute.type, wanted))
                raise InvalidInputError(
                    "{}: the attribute '{}' is of type {}, not {}".format(
                        describe(node), name, *kinds
                    )
                )
        fewest, most = form.inputs
        if not fewest <= len(node.input) <= most or not 1 <= len(node.output) <= form.outputs:
            raise InvalidInputError(
                f"{describe(node)}: input size {len(node.input)} and output size "
                f"{len(node.output)} do not fit the operator\n"
                f"it takes {_span(fewest, most)} inputs and has {_span(1, form.outputs)} outputs"
            )

    def infer(self, node: NodeProto, facts: Sequence[TensorFact | None]) -> list[Inferred]:
        """Type and shape of each output; None for an absent one.

        `facts` is parallel to the node's inputs, None for an absent one. Raises InvalidInputError
        for a node that is wrong, UnknownOperatorError and NotATensorError for one that is not
        supported.
        """
        if (node.domain, node.op_type) in SHAPES:
            return self._by_extension(node, facts)
        self.check_form(node)
        check_for_inference(node, facts)
        schema = self.schema(node)
        types: dict[str, TypeProto] = {}
        data: dict[str, TensorProto] = {}
        for name, fact in zip(node.input, facts, strict=True):
            if fact is None:
                continue
            types[name] = onnx.helper.make_tensor_type_proto(fact.element_type, fact.shape)
            if fact.value is not None and fact.value.size <= DATA_LIMIT:
                data[name] = numpy_helper.from_array(fact.value, name)
        try:
            imports = self._newest if node.domain == NEWEST_DOMAIN else self._imports
            form = _spelled_out(node)
            inferred = infer_node_outputs(schema, form, types, data, opset_imports=imports)
        except (InferenceError, ValidationError, RuntimeError, ValueError, IndexError) as error:
            # the first two are meant; the others escape from the C++ code on damaged nodes
            raise InvalidInputError(_explain(node, facts, str(error))) from error
        outputs: list[Inferred] = [
            self._complete(node, facts, name, inferred.get(name, TypeProto())) if name else None
            for name in node.output
        ]
        if schema.function_body.node and not any(isinstance(o, TensorFact) for o in outputs):
            operands = [types[name] for name in node.input if name]
            return self._by_function(node, schema, operands) or outputs
        return self._corrected(node, facts, outputs)

    def _corrected(
        self, node: NodeProto, facts: Sequence[TensorFact | None], outputs: list[Inferred]
    ) -> list[Inferred]:
        """The outputs with what onnx gets wrong or does not check put right."""
        source = facts[0] if facts else None
        if source is None:
            return outputs
        for output in outputs[:1]:
            wrong = isinstance(output, TensorFact) and element_mismatch(node, source, output)
            if wrong:
                raise InvalidInputError(_explain(node, facts, wrong))
        return [
            without_windows_in_padding(node, source, output)
            if isinstance(output, TensorFact)
            else output
            for output in outputs
        ]

    def _by_extension(self, node: NodeProto, facts: Sequence[TensorFact | None]) -> list[Inferred]:
        """Infer an operator that onnx does not know, by the function registered for it."""
        known = {
            name: fact
            for name, fact in zip(node.input, facts, strict=True)
            if name and fact is not None
        }
        names = Names(NameScope(), NameScope(known), self._versions[""])
        try:
            found: list[Inferred] = list(
                SHAPES[node.domain, node.op_type](Expansion(node, known, names))
            )
        except NotInlinableError as error:
            raise UnknownOperatorError(str(error)) from error
        return (found + [None] * len(node.output))[: len(node.output)]

    def _by_function(
        self, node: NodeProto, schema: OpSchema, types: Sequence[TypeProto]
    ) -> list[Inferred]:
        """Infer through the body that defines an operator; empty where that says nothing either."""
        try:
            found = infer_function_output_types(schema.function_body, types, node.attribute)
        except (InferenceError, RuntimeError, ValueError):
            return []
        if len(found) < len(node.output):
            return []
        return [
            self._complete(node, (), name, type_proto) if name else None
            for name, type_proto in zip(node.output, found, strict=False)
        ]

    def _complete(
        self,
        node: NodeProto,
        facts: Sequence[TensorFact | None],
        name: str,
        type_proto: TypeProto,
    ) -> TensorFact | OpenFact:
        """The inferred type as a fact, filling in what the schemas leave open."""
        if type_proto.WhichOneof("value") not in (None, "tensor_type"):
            raise NotATensorError(str(type_proto.WhichOneof("value")).removesuffix("_type"))
        tensor = type_proto.tensor_type
        dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
        element_type = tensor.elem_type
        first = facts[0] if facts else None
        if not tensor.HasField("shape") and node.op_type in _SAME_SHAPE and first:
            dims = list(first.shape)
            element_type = element_type or first.element_type
        elif not tensor.HasField("shape"):
            return OpenFact(element_type)
        shape = tuple(dim for dim in dims if dim is not None)
        if any(size < 0 for size in shape):
            reason = f"its inputs are too small, its output would be {shape_text(shape)}"
            raise InvalidInputError(_explain(node, facts, reason))
        if len(shape) < len(dims) or element_type == 0:
            return OpenFact(element_type, tuple(dims))
        check_size(name, shape)
        return TensorFact(element_type, shape)


def _spelled_out(node: NodeProto) -> NodeProto:
    """The node with the default that onnx's inference of STFT takes for another: one side only."""
    if node.domain or node.op_type != "STFT" or any(a.name == "onesided" for a in node.attribute):
        return node
    whole = NodeProto()
    whole.CopyFrom(node)
    whole.attribute.append(onnx.helper.make_attribute("onesided", 1))
    return whole


def _span(fewest: int, most: int) -> str:
    """A range of counts; the schemas write the largest integer for "any number"."""
    if fewest == most:
        return str(most)
    return f"{fewest} to {most}" if most < 1000 else f"at least {fewest}"


def _unknown_domain(node: NodeProto) -> str:
    """Why an operator of another domain is not known, with the nearest that is."""
    keys = (*EXPANSIONS, *LOWERINGS)
    known = {op_type for domain, op_type in keys if domain == node.domain}
    if not known:
        return f"operator domain {node.domain} is not supported"
    close = closest(node.op_type, sorted(known))
    return f"{node.domain} is supported in part" + (f"; did you mean {close}?" if close else "")


def onnx_domains() -> set[str]:
    """The operator domains the installed onnx has schemas for."""
    return {schema.domain for schema in onnx.defs.get_all_schemas()}


def _explain(node: NodeProto, facts: Sequence[TensorFact | None], reason: str) -> str:
    """Place, reason, and the inputs the node got."""
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    short = (lines[0] if lines else "invalid node").split("] ", 1)[-1][:200]
    inputs = ", ".join(
        f"{name} {element_type_name(fact.element_type)} {shape_text(fact.shape)}"
        for name, fact in list(zip(node.input, facts, strict=True))[:4]
        if fact is not None
    )
    return f"{describe(node)}: {short}" + (f"\nits inputs: {inputs}" if inputs else "")
