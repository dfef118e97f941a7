"""What a pointwise operator that only dequantises computes: (source - zero point) * factors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from t10c.ir.expression import Axis, Dim, Operand, ScalarStep, TensorExpression, is_literal
from t10c.ir.graph import Operator
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dims import Shape, plain_axes, plain_dims
from t10c.onnx_import.lowering.elementwise import Attributes, Domain
from t10c.onnx_import.lowering.quantised import AS_FLOAT, block_domain

_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})


@dataclass(frozen=True, slots=True)
class Along:
    """A scale or zero point: for each of its dimensions the source's that it runs along.

    None where it has a single element.
    """

    tensor: str
    places: tuple[int | None, ...]


Factor = str | Along
"""A literal, or a tensor."""


@dataclass(frozen=True, slots=True)
class Dequantised:
    """(source - zero_point) * factors, element by element; `operator` computes it.

    `factors` are pairs of `Mul` or `Div` and what by. `block` is the dimension of the source along
    which scales are constant within blocks, and the blocks' length.
    """

    operator: Operator
    source: str
    zero_point: Factor | None
    factors: tuple[tuple[str, Factor], ...]
    block: tuple[int, int] | None = None

    @property
    def parts(self) -> tuple[tuple[str, Factor], ...]:
        """All steps in order."""
        shift = () if self.zero_point is None else (("Sub", self.zero_point),)
        return (*shift, *self.factors)

    def lies_along(self, dimensions: set[int]) -> bool:
        """Whether a scale or zero point varies along one of these dimensions of the source."""
        return any(along(factor) & dimensions for _, factor in self.parts)

    def moved(
        self, places: Mapping[int, int], select: Callable[[Factor], Factor] = lambda f: f
    ) -> "Dequantised":
        """The same for a source whose dimension i has become places[i].

        Where `select` gives another factor, that one is for the new source already.
        """

        def move(factor: Factor) -> Factor:
            selected = select(factor)
            if isinstance(factor, str) or selected is not factor:
                return selected
            return Along(
                factor.tensor, tuple(None if i is None else places[i] for i in factor.places)
            )

        return replace(
            self,
            zero_point=None if self.zero_point is None else move(self.zero_point),
            factors=tuple((op, move(factor)) for op, factor in self.factors),
            block=self.block and (places[self.block[0]], self.block[1]),
        )

    def applied(self, builder: GraphBuilder, source: str, output: str, name: str) -> "Dequantised":
        """The same from `source` to `output`, two tensors of one shape, as operator `name`."""
        shape = builder.shape(output)
        if self.block:
            domain = block_domain(shape, *self.block)
        else:
            domain = Domain(plain_axes(shape, ["parallel"] * len(shape)), plain_dims(shape))
        operands = Operands(builder, [Operand("A", domain.dims)], [source])
        steps = operands.steps("A", self.parts, domain.dims, self.block, 0)
        expression = TensorExpression(
            kernel="pointwise",
            axes=domain.axes,
            inputs=tuple(operands.operands),
            output=Operand("C", domain.dims),
            body=steps,
        )
        operator = replace(
            self.operator,
            name=name,
            expression=expression,
            inputs=tuple(operands.tensors),
            output=output,
        )
        return replace(self, operator=operator, source=source)


def along(factor: Factor) -> set[int]:
    """The dimensions of the source along which a scale or zero point varies."""
    return set() if isinstance(factor, str) else {i for i in factor.places if i is not None}


class Operands:
    """The operands of an expression while scales and zero points join them as fused operands."""

    def __init__(self, builder: GraphBuilder, operands: list[Operand], tensors: list[str]) -> None:
        self._builder = builder
        self.operands = operands
        self.tensors = tensors

    def name(
        self, factor: Factor, dims: tuple[Dim, ...], block: tuple[int, int] | None = None
    ) -> str:
        """The name by which a step reads a factor; `dims` are those of what is dequantised.

        A dimension with blocks has the terms (block, length), (element, 1).
        """
        if isinstance(factor, str):
            return factor
        own = tuple(
            Dim((), size) if place is None else self._dim(dims[place], size, block, place)
            for place, size in zip(factor.places, self._builder.shape(factor.tensor), strict=True)
        )
        for operand, tensor in zip(self.operands, self.tensors, strict=True):
            if operand.fused and tensor == factor.tensor and operand.dims == own:
                return operand.name
        taken = {operand.name for operand in self.operands}
        name = next(n for i in range(len(taken) + 1) if (n := f"F{i}") not in taken)
        self.operands.append(Operand(name, own, fused=True))
        self.tensors.append(factor.tensor)
        return name

    @staticmethod
    def _dim(dim: Dim, size: int, block: tuple[int, int] | None, place: int) -> Dim:
        if block is None or block[0] != place:
            return Dim(dim.terms, size, dim.offset)
        return Dim(tuple((axis, 1) for axis, stride in dim.terms if stride == block[1]), size)

    def steps(
        self,
        value: str,
        parts: tuple[tuple[str, Factor], ...],
        dims: tuple[Dim, ...],
        block: tuple[int, int] | None,
        first: int,
        kind: Attributes = AS_FLOAT,
    ) -> tuple[ScalarStep, ...]:
        """Steps `s<first>`, ... that apply the parts to `value`; the first converts it."""
        made: list[ScalarStep] = []
        for op, factor in parts:
            attributes = () if made else kind
            made.append(ScalarStep(op, (value, self.name(factor, dims, block)), attributes))
            value = f"s{first + len(made) - 1}"
        if not made:
            made.append(ScalarStep("Cast", (value,), (("to", str(kind[0][1])),)))
        return tuple(made)


def split_axis(expression: TensorExpression, name: str, length: int) -> TensorExpression:
    """The expression with axis `k` as `kb`, the number of a block, and `ke`, a place within it.

    A[m,k] with blocks of 32 becomes A[m,32*kb+ke].
    """
    axes: list[Axis] = []
    for axis in expression.axes:
        if axis.name != name:
            axes.append(axis)
            continue
        blocks = axis.length // length
        axes.append(Axis(f"{name}b", blocks, axis.role, axis.reduction))
        axes.append(Axis(f"{name}e", length, axis.role, axis.reduction))

    def cut(operand: Operand) -> Operand:
        dims = []
        for dim in operand.dims:
            terms: list[tuple[str, int]] = []
            for axis, stride in dim.terms:
                parts = [(f"{name}b", stride * length), (f"{name}e", stride)]
                terms += parts if axis == name else [(axis, stride)]
            dims.append(Dim(tuple(terms), dim.size, dim.offset))
        return replace(operand, dims=tuple(dims))

    return replace(
        expression,
        axes=tuple(axes),
        inputs=tuple(cut(operand) for operand in expression.inputs),
        output=cut(expression.output),
    )


def dequantised(builder: GraphBuilder, operator: object) -> Dequantised | None:
    """What the operator computes if it only dequantises a tensor of at most 8 bits, else None."""
    if not isinstance(operator, Operator) or operator.expression.kernel != "pointwise":
        return None
    expression = operator.expression
    source = _source(builder, operator)
    if source is None or builder.element_type(operator.output) not in _FLOATS:
        return None
    dimension = _dimensions(expression.output.dims)
    others: dict[str, Along] = {}
    for operand, tensor in zip(expression.inputs, operator.inputs, strict=True):
        if operand.name == source:
            continue
        small = builder.is_weight(tensor) or all(dim.size == 1 for dim in operand.dims)
        found = _places(operand, dimension)
        if not small or found is None:
            return None
        others[operand.name] = Along(tensor, found)
    parts = _parts(expression.body, source, others)
    if parts is None:
        return None
    tensor = operator.inputs[[o.name for o in expression.inputs].index(source)]
    zero_point = parts[0][1] if parts and parts[0][0] == "Sub" else None
    factors = tuple(part for part in parts if part[0] != "Sub")
    return Dequantised(operator, tensor, zero_point, factors, _block(expression.output.dims))


def _source(builder: GraphBuilder, operator: Operator) -> str | None:
    """The operand that holds the stored values: narrow, and the only one as large as the result."""
    expression = operator.expression
    full = [
        (operand.name, builder.tensor(tensor).narrow)
        for operand, tensor in zip(expression.inputs, operator.inputs, strict=True)
        if operand.dims == expression.output.dims
    ]
    return full[0][0] if len(full) == 1 and full[0][1] else None


def _dimensions(dims: tuple[Dim, ...]) -> dict[str, int]:
    """The dimension of each axis along which a factor may vary: not within blocks."""
    return {dim.terms[0][0]: index for index, dim in enumerate(dims) if dim.terms}


def _block(dims: tuple[Dim, ...]) -> tuple[int, int] | None:
    """The dimension that has an axis for blocks and one for elements, and the blocks' length."""
    found = [(i, dim.terms[0][1]) for i, dim in enumerate(dims) if len(dim.terms) == 2]
    return found[0] if found else None


def _places(operand: Operand, dimension: Mapping[str, int]) -> tuple[int | None, ...] | None:
    places: list[int | None] = []
    for dim in operand.dims:
        if dim.terms and (len(dim.terms) > 1 or dim.terms[0][0] not in dimension):
            return None
        places.append(dimension[dim.terms[0][0]] if dim.terms else None)
    return tuple(places)


def _parts(
    body: tuple[ScalarStep, ...], source: str, others: Mapping[str, Along]
) -> list[tuple[str, Factor]] | None:
    """The body as at most one subtraction, then factors; None if it computes anything else."""
    value, parts = source, list[tuple[str, Factor]]()
    for number, step in enumerate(body):
        if step.op in ("Cast", "Identity"):
            if step.inputs != (value,):
                return None
        else:
            flipped = step.op == "Mul" and step.inputs[-1] == value
            inputs = step.inputs[::-1] if flipped else step.inputs
            known = step.op in ("Mul", "Div") or (step.op == "Sub" and not parts)
            if not known or len(inputs) != 2 or inputs[0] != value:
                return None
            other = inputs[1]
            if not is_literal(other) and other not in others:
                return None
            parts.append((step.op, other if is_literal(other) else others[other]))
        value = f"s{number}"
    return parts


def squeezed_places(old: Shape, new: Shape) -> dict[int, int] | None:
    """Where dimensions longer than 1 have gone in a reshape; None if it joins or cuts any."""
    left = [index for index, size in enumerate(old) if size != 1]
    right = [index for index, size in enumerate(new) if size != 1]
    if [old[i] for i in left] != [new[i] for i in right]:
        return None
    return dict(zip(left, right, strict=True))
