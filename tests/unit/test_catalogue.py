"""The catalogue of operators agrees with what the import does."""

import onnx
import pytest
from onnx_models import model, node, value

from t10c.ir.graph import NodeClass
from t10c.onnx_import.catalogue import CatalogueEntry, operator_catalogue
from t10c.onnx_import.importer import import_model


def entry(op_type: str, domain: str = "") -> CatalogueEntry:
    found = [e for e in operator_catalogue() if (e.domain, e.op_type) == (domain, op_type)]
    assert len(found) == 1
    return found[0]


def test_every_operator_of_the_standard_that_is_read_is_listed_once() -> None:
    listed = [(e.domain, e.op_type) for e in operator_catalogue()]
    assert len(listed) == len(set(listed))
    current = {(s.domain, s.name) for s in onnx.defs.get_all_schemas()}
    assert current <= set(listed)


@pytest.mark.parametrize(
    ("op_type", "first", "last", "node_class"),
    [
        ("Conv", 7, 0, NodeClass.PLANNED),
        ("Upsample", 7, 9, NodeClass.PLANNED),
        ("LayerNormalization", 17, 0, NodeClass.PLANNED),
        ("Reshape", 7, 0, NodeClass.LAYOUT_ONLY),
        ("Shape", 7, 0, NodeClass.FOLDED),
        ("SequenceAt", 11, 0, NodeClass.FOLDED),
        ("Det", 11, 0, NodeClass.FALLBACK),
        ("StringSplit", 20, 0, NodeClass.UNSUPPORTED),
    ],
)
def test_versions_and_classes(op_type: str, first: int, last: int, node_class: NodeClass) -> None:
    found = entry(op_type)
    assert (found.first_opset, found.last_opset, found.node_class) == (first, last, node_class)
    assert found.note


def test_training_is_unsupported() -> None:
    assert entry("Adam", "ai.onnx.preview.training").node_class is NodeClass.UNSUPPORTED


def test_an_operator_listed_as_fallback_becomes_one() -> None:
    assert entry("Det").node_class is NodeClass.FALLBACK
    made = model([node("Det", "x", "y", "det")], [value("x", [3, 3])], ["y"])
    assert import_model(made.SerializeToString()).nodes[0].node_class is NodeClass.FALLBACK


def test_notes_are_sentences_or_formulas() -> None:
    for each in operator_catalogue():
        assert each.note.endswith("."), each
        assert each.note[0].isupper() or set("*+/1") & set(each.note), each  # or a formula
        assert ".py" not in each.note, each
        assert len(each.note) < 160, each
