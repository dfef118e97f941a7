"""Two operators of the domain com.example.

`ScaledRelu(x)` with attribute `scale` is replaced by operators of the standard. `BandedMatMul(x,
bands)` multiplies every row of x by a matrix of which only some diagonals are not zero; it has a
tensor expression of its own: C[m, n] += A[m, n + k] * B[k, n].
"""

from t10c.extend import (
    Axis,
    Dim,
    Expansion,
    GraphBuilder,
    LoweringError,
    Operand,
    ResolvedNode,
    ScalarStep,
    TensorExpression,
    TensorFact,
    expands,
    infers,
    lowers,
)

DOMAIN = "com.example"


@expands("ScaledRelu", domain=DOMAIN)
def expand_scaled_relu(call: Expansion) -> None:
    """max(x, 0) * scale."""
    scale = call.array(call.attribute("scale", 1.0), call.element_type(0))
    call.result(0, call.add("Mul", [call.add("Relu", [call.input(0)]), scale]))


@infers("BandedMatMul", domain=DOMAIN)
def infer_banded_matmul(call: Expansion) -> list[TensorFact | None]:
    """x [m, n + k - 1] and bands [k, n] give [m, n]."""
    return [TensorFact(call.fact(0).element_type, (call.shape(0)[0], call.shape(1)[1]))]


@lowers("BandedMatMul", domain=DOMAIN)
def lower_banded_matmul(builder: GraphBuilder, node: ResolvedNode) -> None:
    """A product with a matrix of which only some diagonals are not zero."""
    (rows, width), (bands, columns) = (builder.shape(name) for name in node.inputs)
    if width != columns + bands - 1:
        raise LoweringError(f"{bands} bands of {columns} columns do not fit {width} inputs")
    expression = TensorExpression(
        kernel="conv",
        axes=(
            Axis("m", rows, "batch"),
            Axis("n", columns, "out_spatial"),
            Axis("k", bands, "kernel", reduction=True),
        ),
        inputs=(
            Operand("A", (Dim((("m", 1),), rows), Dim((("n", 1), ("k", 1)), width))),
            Operand("B", (Dim((("k", 1),), bands), Dim((("n", 1),), columns))),
        ),
        output=Operand("C", (Dim((("m", 1),), rows), Dim((("n", 1),), columns))),
        body=(ScalarStep("Mul", ("A", "B")),),
        reduce_op="sum",
    )
    builder.compute("", expression, node.inputs, node.outputs[0])
