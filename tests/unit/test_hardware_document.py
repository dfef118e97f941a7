"""Resolved specifications as JSON documents."""

import json
from dataclasses import replace

import pytest

from t10c.errors import InvalidInputError
from t10c.hardware.document import from_document, spec_hash, to_document
from t10c.hardware.load import load_spec, preset_names


@pytest.mark.parametrize("name", preset_names())
def test_round_trip_through_json(name):
    spec = load_spec(name)
    again = from_document(json.loads(json.dumps(to_document(spec), allow_nan=False)))
    assert again == spec
    assert spec_hash(again) == spec_hash(spec)


def test_document_is_in_base_units_with_sources_and_notes():
    document = to_document(load_spec("ipu-mk2", ["cores.sram=1MiB"]))
    assert document["sram_bytes"] == 1 << 20
    assert document["clock_hz"] == 1.325e9
    assert document["kernels"]["matmul"]["coefficients"]["m_group"] == 6
    assert document["sources"]["cores.sram"] == "command line: --hw-set cores.sram=1MiB"
    assert document["notes"][0] == "overridden: cores.sram=1MiB"
    assert document["offchip"] is None


def test_hash_tells_specifications_apart():
    spec = load_spec("ipu-mk2")
    assert len(spec_hash(spec)) == 64
    assert spec_hash(spec) == spec_hash(load_spec("ipu-mk2"))
    assert spec_hash(spec) != spec_hash(replace(spec, sram_bytes=spec.sram_bytes + 1))
    assert spec_hash(spec) != spec_hash(load_spec("ipu-mk2", ["interconnect.sync=119cycles"]))


def edit(path, value):
    document = json.loads(json.dumps(to_document(load_spec("ipu-mk2"))))
    *parents, last = path
    target = document
    for name in parents:
        target = target[name]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (["sram_bytes"], "624KiB", "hardware.sram_bytes: is '624KiB'; it must be a whole number"),
        (["sram_bytes"], True, "hardware.sram_bytes: is True"),
        (["sram_bytes"], 1.5, "hardware.sram_bytes"),
        (["sram_bytes"], -1, "at least 0"),
        (["sram_bytes"], ..., "hardware.sram_bytes: is missing"),
        (["extra"], 1, "hardware.extra: unknown key"),
        (["clock_hz"], float("nan"), "hardware.clock_hz"),
        (["clock_hz"], 0, "no clock or no cores"),
        (["core_count"], 0, "no clock or no cores"),
        (["core_grid"], [8], "hardware.core_grid"),
        (["core_grid"], [8, "x"], r"hardware.core_grid[1]"),
        (["interconnect", "kind"], "ring", "one of all-to-all, mesh2d, torus2d"),
        (["interconnect"], 5, "hardware.interconnect: is 5; it must be an object"),
        (["kernels", "matmul"], ..., "hardware.kernels.matmul: is missing"),
        (["kernels", "matmul", "coefficients", "m_group"], None, "coefficients.m_group"),
        (["notes"], "x", "hardware.notes"),
        (["overlap_shift_compute"], 0, "true or false"),
    ],
)
def test_wrong_documents_name_the_key(path, value, expected):
    with pytest.raises(InvalidInputError) as caught:
        from_document(edit(path, value))
    assert expected in str(caught.value)


@pytest.mark.parametrize("document", [None, [], 5, {}, "x", {1: 2}])
def test_what_is_no_document(document):
    with pytest.raises(InvalidInputError):
        from_document(document)
