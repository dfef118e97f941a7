"""Optionals, taken apart: each is known to be a tensor or sequence, or to be empty."""

from collections.abc import Mapping

from onnx import NodeProto

from t10c.onnx_import.build import Names, NodeBuilder
from t10c.onnx_import.inline import NotInlinableError
from t10c.onnx_import.tensors import boolean

OPTIONAL_OPERATORS = frozenset({"Optional", "OptionalGetElement", "OptionalHasElement"})


class OptionalRewriter:
    """Takes one optional operator apart; after construction the fields hold what replaces it.

    - `nodes`, `tensors`, `sequences`: as of a SequenceRewriter
    - `optionals`: the optional the operator makes, if it makes one, and its element, '' if empty

    Raises NotInlinableError for the element of an empty optional, and for an operator that takes
    no optionals.
    """

    def __init__(
        self,
        node: NodeProto,
        sequences: Mapping[str, tuple[str, ...]],
        optionals: Mapping[str, str],
        names: Names,
    ) -> None:
        builder = NodeBuilder(node.name, names)
        self.nodes = builder.nodes
        self.tensors = builder.tensors
        self.sequences: dict[str, tuple[str, ...]] = {}
        self.optionals: dict[str, str] = {}
        source, output = node.input[0] if node.input else "", node.output[0]
        element = optionals.get(source, source)
        match node.op_type:
            case "Optional" | "Identity":
                self.optionals[output] = element
            case "OptionalHasElement":
                self.tensors[output] = boolean(bool(element))
            case "OptionalGetElement" if not element:
                raise NotInlinableError("its optional is empty")
            case "OptionalGetElement" if element in sequences:
                self.sequences[output] = sequences[element]
            case "OptionalGetElement":
                builder.deliver([element], [output])
            case _:
                raise NotInlinableError("it takes an optional, not a tensor")
