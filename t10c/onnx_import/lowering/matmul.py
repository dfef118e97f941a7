"""MatMul and Gemm: C[m,n] += A[m,k] * B[k,n]."""

from functools import lru_cache

from t10c.ir.expression import Dim, Operand, Role, ScalarStep, TensorExpression
from t10c.onnx_import.attributes import LoweringError, argument, integer, number
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.dims import AxisList, Shape, Terms
from t10c.onnx_import.lowering.elementwise import Argument, Step, add_pointwise, broadcast
from t10c.onnx_import.registry import lowers
from t10c.onnx_import.resolved import ResolvedNode


def _names(prefix: str, count: int) -> list[str]:
    return [prefix] if count == 1 else [f"{prefix}{index}" for index in range(count)]


class _Batch:
    """Names and roles of the leading dimensions: shared ones are batch, others join m or n."""

    def __init__(self, left: Shape, right: Shape) -> None:
        rank = max(len(left), len(right))
        self.left = (1,) * (rank - len(left)) + left
        self.right = (1,) * (rank - len(right)) + right
        if any(a != b and 1 not in (a, b) for a, b in zip(self.left, self.right, strict=True)):
            raise LoweringError(f"batch dimensions {list(left)} and {list(right)} do not match")
        self.sizes = tuple(max(a, b) for a, b in zip(self.left, self.right, strict=True))

    def roles(self) -> list[Role]:
        """Role of each dimension."""
        return [
            "batch" if a == b else ("m" if b == 1 else "n")
            for a, b in zip(self.left, self.right, strict=True)
        ]


@lru_cache(maxsize=1024)
def matmul_expression(left: Shape, right: Shape) -> TensorExpression:
    """The expression of NumPy's matmul for two shapes.

    A leading dimension that only one operand has becomes a further axis of role m or n.
    """
    rows, columns = left[-2:-1], right[-1:] if len(right) > 1 else ()
    depth = left[-1]
    if depth != right[-2 if len(right) > 1 else -1]:
        raise LoweringError(f"inner dimensions of {list(left)} and {list(right)} do not match")
    batch = _Batch(left[:-2], right[:-2])
    roles = batch.roles()
    sizes: dict[Role, list[int]] = {
        role: [n for n, r in zip(batch.sizes, roles, strict=True) if r == role and n > 1]
        for role in ("batch", "m", "n")
    }
    names = {
        "batch": _names("b", len(sizes["batch"])),
        "m": _names("m", len(sizes["m"]) + (rows > (1,))),
        "n": _names("n", len(sizes["n"]) + (columns > (1,))),
    }
    axes = AxisList()

    def add(role: Role, length: int) -> Terms:
        return axes.add(names[role].pop(0), length, role) if length > 1 else ()

    leading = [add(role, n) for role, n in zip(roles, batch.sizes, strict=True)]
    m = [add("m", n) for n in rows]
    n = [add("n", size) for size in columns]
    k = axes.add("k", depth, "k", reduction=True)
    a = [Dim(t if s > 1 else (), s) for t, s in zip(leading, batch.left, strict=True)]
    b = [Dim(t if s > 1 else (), s) for t, s in zip(leading, batch.right, strict=True)]
    c = [Dim(t, s) for t, s in zip(leading, batch.sizes, strict=True)]
    a, b = a[len(a) - len(left[:-2]) :], b[len(b) - len(right[:-2]) :]
    row_dims = [Dim(t, s) for t, s in zip(m, rows, strict=True)]
    column_dims = [Dim(t, s) for t, s in zip(n, columns, strict=True)]
    return product_expression(
        axes,
        (*a, *row_dims, Dim(k, depth)),
        (*b, Dim(k, depth), *column_dims),
        (*c, *row_dims, *column_dims),
    )


def product_expression(
    axes: AxisList, a: tuple[Dim, ...], b: tuple[Dim, ...], c: tuple[Dim, ...]
) -> TensorExpression:
    """C += A * B over given dimensions."""
    return TensorExpression(
        kernel="matmul",
        axes=axes.axes,
        inputs=(Operand("A", a), Operand("B", b)),
        output=Operand("C", c),
        body=(ScalarStep("Mul", ("A", "B")),),
        reduce_op="sum",
    )


@lowers("MatMul")
def lower_matmul(builder: GraphBuilder, node: ResolvedNode) -> None:
    """NumPy's matmul; an Expand of leading dimensions is read unexpanded."""
    inputs = []
    for tensor in node.inputs[:2]:
        source = builder.unexpanded(tensor)
        kept = builder.shape(source)[-2:] == builder.shape(tensor)[-2:]
        inputs.append(source if kept else tensor)
    output = node.outputs[0]
    expression = matmul_expression(builder.shape(inputs[0]), builder.shape(inputs[1]))
    if tuple(dim.size for dim in expression.output.dims) != builder.shape(output):
        inputs = list(node.inputs[:2])
        expression = matmul_expression(builder.shape(inputs[0]), builder.shape(inputs[1]))
    builder.compute("", expression, inputs, output)


@lowers("Gemm")
def lower_gemm(builder: GraphBuilder, node: ResolvedNode) -> None:
    """alpha * A' * B' + beta * C; transposition only permutes dimensions."""
    output, addend = node.outputs[0], argument(node, 2)
    left, right = builder.shape(node.inputs[0]), builder.shape(node.inputs[1])
    flip_a, flip_b = bool(integer(node, "transA", 0)), bool(integer(node, "transB", 0))
    rows, depth = left[::-1] if flip_a else left
    columns = right[0] if flip_b else right[1]
    axes = AxisList()
    m = Dim(axes.add("m", rows, "m"), rows)
    n = Dim(axes.add("n", columns, "n"), columns)
    k = Dim(axes.add("k", depth, "k", reduction=True), depth)
    a, b = ((k, m) if flip_a else (m, k)), ((n, k) if flip_b else (k, n))
    expression = product_expression(axes, a, b, (m, n))
    alpha, beta = number(node, "alpha", 1.0), number(node, "beta", 1.0)
    steps, arguments = _gemm_epilogue(builder, output, addend if beta else "", alpha, beta)
    product = builder.temporary("product", (rows, columns), output) if steps else output
    builder.compute("", expression, node.inputs[:2], product)
    if steps:
        arguments.insert(0, broadcast(builder, product, output))
        add_pointwise(builder, "bias", output, arguments, steps)


def _gemm_epilogue(
    builder: GraphBuilder, output: str, addend: str, alpha: float, beta: float
) -> tuple[list[Step], list[Argument]]:
    """Steps after the product (argument 0) and the arguments beyond it."""
    steps: list[Step] = []
    product: int | str = 0
    if alpha != 1.0:
        steps.append(Step("Mul", (0, repr(alpha))))
        product = "s0"
    if not addend:
        return steps, []
    term: int | str = 1
    if beta != 1.0:
        steps.append(Step("Mul", (1, repr(beta))))
        term = f"s{len(steps) - 1}"
    steps.append(Step("Add", (product, term)))
    return steps, [broadcast(builder, addend, output)]
