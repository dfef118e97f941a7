"""`t10c ops`: the table, its filters and forms."""

import json

from cli_support import Command


def test_table_names_domain_versions_class_and_note(t10c: Command) -> None:
    result = t10c("ops", "Conv", "Upsample")
    lines = result.out.splitlines()
    assert lines[0].split() == ["domain", "operator", "opset", "class", "note"]
    assert [line.split()[:4] for line in lines if line.startswith("ai.onnx ")] == [
        ["ai.onnx", "Conv", "7-", "planned"],
        ["ai.onnx", "Upsample", "7-9", "planned"],
    ]


def test_json_lists_every_operator_with_its_class(t10c: Command) -> None:
    document = json.loads(t10c("ops", "--format", "json").out)
    operators = {(o["domain"], o["operator"]): o for o in document["operators"]}
    assert operators["ai.onnx", "MatMul"]["class"] == "planned"
    assert operators["com.microsoft", "BiasGelu"]["class"] == "planned"
    assert sum(document["classes"].values()) == len(operators) > 200


def test_markdown_has_a_table_per_domain(t10c: Command) -> None:
    text = t10c("ops", "--format", "markdown").out
    assert text.startswith("### ai.onnx\n\n| operator | opset | class | note |\n")
    assert "\n### com.microsoft\n" in text


def test_an_unknown_operator_is_a_usage_error_with_the_nearest_name(t10c: Command) -> None:
    result = t10c("ops", "Conf")
    assert (result.code, result.stdout) == (2, b"")
    assert "did you mean 'Conv'?" in result.stderr
