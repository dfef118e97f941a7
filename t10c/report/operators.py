"""The catalogue of operators as text, markdown and JSON values."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from t10c.ir.graph import NodeClass
from t10c.onnx_import.catalogue import CatalogueEntry
from t10c.report.text import table_lines

STANDARD = "ai.onnx"
"""How the standard's own domain, '' in files, is shown."""


def catalogue_document(entries: Sequence[CatalogueEntry]) -> dict[str, Any]:
    """The catalogue as JSON values."""
    return {
        "operators": [
            {
                "domain": entry.domain or STANDARD,
                "operator": entry.op_type,
                "first_opset": entry.first_opset,
                "last_opset": entry.last_opset or None,
                "class": entry.node_class.value,
                "note": entry.note,
            }
            for entry in entries
        ],
        "classes": _class_counts(entries),
    }


def catalogue_lines(entries: Sequence[CatalogueEntry]) -> list[str]:
    """The catalogue for people."""
    rows = [
        [
            entry.domain or STANDARD,
            entry.op_type,
            _versions(entry),
            entry.node_class.text,
            entry.note,
        ]
        for entry in entries
    ]
    lines = table_lines(["domain", "operator", "opset", "class", "note"], rows, left=(0, 1, 3, 4))
    counted = ", ".join(f"{n} {NodeClass(kind).text}" for kind, n in _class_counts(entries).items())
    return [*lines, f"{len(entries)} operator{'s' * (len(entries) != 1)}: {counted}"]


def catalogue_markdown(entries: Sequence[CatalogueEntry]) -> list[str]:
    """The catalogue as a table per domain."""
    lines: list[str] = []
    for domain in dict.fromkeys(entry.domain for entry in entries):
        own = [entry for entry in entries if entry.domain == domain]
        lines += [f"### {domain or STANDARD}", ""]
        lines += ["| operator | opset | class | note |", "|---|---|---|---|"]
        lines += [
            f"| {entry.op_type} | {_versions(entry)} | {entry.node_class.text} | {entry.note} |"
            for entry in own
        ]
        lines.append("")
    return lines[:-1]


def _versions(entry: CatalogueEntry) -> str:
    return f"{entry.first_opset}-{entry.last_opset or ''}"


def _class_counts(entries: Sequence[CatalogueEntry]) -> dict[str, int]:
    """Number of operators of each class, in the order of the classes."""
    counts = Counter(entry.node_class for entry in entries)
    return {kind.value: counts[kind] for kind in NodeClass if counts[kind]}
