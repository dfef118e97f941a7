"""What is in a model and how each node will be treated."""

from collections import Counter
from typing import Any

from t10c.ir.graph import Graph, NodeClass, Operator
from t10c.report.text import shorten, table_lines


def graph_document(graph: Graph) -> dict[str, Any]:
    """The inspection as JSON values."""
    return {
        "model": graph.name,
        "producer": graph.producer,
        "opset": graph.opset,
        "inputs": [_tensor(graph, name) for name in graph.inputs],
        "outputs": [_tensor(graph, name) for name in graph.outputs],
        "nodes": graph.node_counts(),
        "gflop_matmul_conv": graph.flop_matmul_conv / 1e9,
        "flop_matmul_conv": graph.flop_matmul_conv,
        "weight_elements": _weight_elements(graph),
        "operators": [
            {
                "name": operator.name,
                "op_type": operator.op_type,
                "kernel": operator.expression.kernel,
                "axes": {a.name: a.length for a in operator.expression.axes},
                "nodes": list(operator.nodes),
            }
            for operator in graph.planned
        ],
        "fallback": fallback_nodes(graph),
        "unsupported": [
            {"node": node.name, "operator": node.op_type}
            for node in graph.nodes
            if node.node_class is NodeClass.UNSUPPORTED
        ],
        "warnings": list(graph.warnings),
    }


def fallback_nodes(graph: Graph) -> list[dict[str, str]]:
    """The nodes that run whole on one core, and why."""
    return [
        {"node": node.name, "operator": node.op_type, "reason": node.note}
        for node in graph.nodes
        if node.node_class is NodeClass.FALLBACK
    ]


def unsupported_document(nodes: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """The part of the inspection that a model with unsupported operators has, as JSON values."""
    return {"unsupported": [{"node": node, "operator": operator} for node, operator in nodes]}


def _tensor(graph: Graph, name: str) -> dict[str, Any]:
    tensor = graph.tensor[name]
    return {"name": name, "shape": list(tensor.shape), "type": tensor.element_type}


def _weight_elements(graph: Graph) -> int:
    total = 0
    for tensor in graph.tensors:
        if tensor.kind == "weight":
            size = 1
            for length in tensor.shape:
                size *= length
            total += size
    return total


def graph_lines(graph: Graph, verbose: bool = False) -> list[str]:
    """The inspection for people; `verbose` lists every planned operator."""
    lines = [
        f"model      {shorten(graph.name, 60)} (opset {graph.opset}, {graph.producer or 'unknown'})"
    ]
    for kind, names in (("input", graph.inputs), ("output", graph.outputs)):
        shown = names if verbose else names[:6]
        for name in shown:
            tensor = graph.tensor[name]
            shape = "x".join(map(str, tensor.shape)) or "scalar"
            lines.append(f"{kind:<10} {name}: {shape} {tensor.element_type}")
        if len(names) > len(shown):
            lines.append(f"{kind:<10} ... and {len(names) - len(shown)} more")
    lines.append(
        f"work       {graph.flop_matmul_conv / 1e9:.3f} GFLOP in MatMul, Gemm and Conv;"
        f" {_weight_elements(graph) / 1e6:.2f} M weight elements"
    )
    counts = Counter((node.op_type, node.node_class) for node in graph.nodes)
    rows = [[op_type, kind.text, str(n)] for (op_type, kind), n in counts.items()]
    rows.sort(key=lambda row: (-int(row[2]), row[0]))
    lines += table_lines(["operator", "class", "nodes"], rows, left=(0, 1))
    total = ", ".join(f"{n} {NodeClass(kind).text}" for kind, n in graph.node_counts().items())
    lines.append(f"nodes      {len(graph.nodes)}: {total}")
    fallbacks = [node for node in graph.nodes if node.node_class is NodeClass.FALLBACK]
    shown_fallbacks = fallbacks if verbose else fallbacks[:6]
    lines += [f"fallback   {n.name} ({n.op_type}): {n.note}" for n in shown_fallbacks]
    if len(fallbacks) > len(shown_fallbacks):
        lines.append(f"fallback   ... and {len(fallbacks) - len(shown_fallbacks)} more (-v)")
    if verbose:
        lines += _operator_lines(graph.planned)
    lines += [f"warning    {warning}" for warning in graph.warnings]
    return lines


def _operator_lines(operators: tuple[Operator, ...]) -> list[str]:
    rows = [
        [
            operator.name,
            operator.expression.kernel,
            " ".join(f"{a.name}={a.length}" for a in operator.expression.axes),
            str(len(operator.nodes)),
        ]
        for operator in operators
    ]
    return table_lines(["planned operator", "kernel", "axes", "nodes"], rows, left=(0, 1, 2))
