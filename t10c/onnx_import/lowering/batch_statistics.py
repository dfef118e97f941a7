"""BatchNormalization in training mode: mean and variance of the batch itself."""

from t10c.onnx_import.attributes import number, result
from t10c.onnx_import.lowering.builder import GraphBuilder
from t10c.onnx_import.lowering.compose import Composer, Placed
from t10c.onnx_import.lowering.elementwise import Step
from t10c.onnx_import.resolved import ResolvedNode


def add_training_batch_norm(builder: GraphBuilder, node: ResolvedNode) -> None:
    """Two reductions per channel, the normalisation, and the running statistics."""
    compose, source = Composer(builder), node.inputs[0]
    shape = builder.shape(source)
    whole, kind = range(len(shape)), builder.element_type(source)
    reduced = [d for d in whole if d != 1]
    copy, squares = [Step("Identity", (0,))], [Step("Sub", (0, 1)), Step("Mul", ("s0", "s0"))]
    mean = compose.reduce("mean", shape, reduced, kind, [(source, whole)], copy, "mean")
    sources: list[Placed] = [(source, whole), (mean, (1,))]
    variance = compose.reduce("variance", shape, reduced, kind, sources, squares, "mean")
    steps = [
        Step("Add", (4, repr(number(node, "epsilon", 1e-5)))),
        Step("Sqrt", ("s0",)),
        Step("Sub", (0, 3)),
        Step("Div", ("s2", "s1")),
        Step("Mul", ("s3", 1)),
        Step("Add", ("s4", 2)),
    ]
    channels = [(name, (1,)) for name in (*node.inputs[1:3], mean, variance)]
    if node.outputs[0]:
        tensors = [(source, whole), *channels]
        compose.pointwise("", shape, kind, tensors, steps, node.outputs[0])
    momentum = number(node, "momentum", 0.9)
    mixed = [
        Step("Mul", (0, repr(momentum))),
        Step("Mul", (1, repr(1 - momentum))),
        Step("Add", ("s0", "s1")),
    ]
    for index, new in ((1, mean), (2, variance)):
        running = result(node, index)
        if running:
            old, target = node.inputs[index + 2], builder.element_type(running)
            pair = (old, new)
            compose.pointwise(f"running{index}", shape[1:2], target, pair, mixed, running)
