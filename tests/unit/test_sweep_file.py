"""Sweep files: what they may say, and where they are wrong."""

from pathlib import Path

import pytest

from t10c.errors import FileAccessError, InvalidInputError
from t10c.sweep.document import (
    SHORT_NAMES,
    Axis,
    Chip,
    FileModel,
    SweepOptions,
    ZooModel,
    read_sweep,
)
from t10c.sweep.grid import points_of

FULL = """
models:
  - nerf
  - net.onnx
  - file: sub/other.onnx
    label: bound
    dims: {batch: 1}
    shapes: {input: 1x3x224x224, mask: [1, 7]}
    values: {k: 5, axes: [0, 1]}
  - zoo: opt-1.3b
    label: decode
    phase: decode
    past: 64
    layers: 1
    set: {hidden: 128}
hw: [ipu-mk2, chips/mine.yaml]
overrides:
  cores: [32, 64]
  sram: [64KiB]
  interconnect.sync: [100cycles, 90ns]
options:
  search: exhaustive
  transitions: uniform
  buffers: double
  persistent: [cache]
  simulate: true
"""


def written(folder: Path, text: str) -> Path:
    (folder / "sub").mkdir(exist_ok=True)
    (folder / "chips").mkdir(exist_ok=True)
    for name in ("net.onnx", "sub/other.onnx"):
        (folder / name).touch()
    (folder / "chips/mine.yaml").write_text("extends: ipu-mk2\nname: mine\n")
    path = folder / "sweep.yaml"
    path.write_text(text)
    return path


def test_everything_that_may_be_said(tmp_path):
    found = read_sweep(written(tmp_path, FULL))
    assert [model.label for model in found.models] == ["nerf", "net", "bound", "decode"]
    assert [model.source for model in found.models] == [
        ZooModel("nerf"),
        FileModel(tmp_path / "net.onnx"),
        FileModel(
            tmp_path / "sub/other.onnx",
            (("batch", 1),),
            (("input", (1, 3, 224, 224)), ("mask", (1, 7))),
            (("k", 5), ("axes", [0, 1])),
        ),
        ZooModel(
            "opt-1.3b", past=64, phase="decode", settings=(("hidden", "128"), ("layers", "1"))
        ),
    ]
    assert found.chips == (
        Chip("ipu-mk2", "ipu-mk2"),
        Chip("chips/mine.yaml", tmp_path / "chips/mine.yaml"),
    )
    assert found.axes == (
        Axis("cores", "cores.count", ("32", "64")),
        Axis("sram", "cores.sram", ("64KiB",)),
        Axis("interconnect.sync", "interconnect.sync", ("100cycles", "90ns")),
    )
    assert found.options == SweepOptions("exhaustive", "uniform", "double", ("cache",), True)


def test_points_are_a_product_in_a_fixed_order(tmp_path):
    found = points_of(read_sweep(written(tmp_path, FULL)))
    assert len(found) == 4 * 2 * 2 * 1 * 2
    assert [(p.label, p.hardware, p.values) for p in found[:5]] == [
        ("nerf", "ipu-mk2", ("32", "64KiB", "100cycles")),
        ("nerf", "ipu-mk2", ("32", "64KiB", "90ns")),
        ("nerf", "ipu-mk2", ("64", "64KiB", "100cycles")),
        ("nerf", "ipu-mk2", ("64", "64KiB", "90ns")),
        ("nerf", "chips/mine.yaml", ("32", "64KiB", "100cycles")),
    ]
    spec = found[1].spec
    assert spec is not None
    assert spec.core_count == 32
    assert spec.sram_bytes == 64 * 1024
    assert spec.interconnect.sync_cycles == pytest.approx(90e-9 * spec.clock_hz)
    assert spec.shift_buffer.policy == "double"
    assert found[0].title == "nerf on ipu-mk2 cores=32 sram=64KiB interconnect.sync=100cycles"


def test_a_chip_that_is_not_valid_is_a_point_with_a_reason(tmp_path):
    text = "models: [nerf]\nhw: [chips/mine.yaml]\noverrides: {sram: [64KiB, 4KiB]}\n"
    fits, invalid = points_of(read_sweep(written(tmp_path, text)))
    assert fits.spec is not None
    assert invalid.spec is None
    assert "shift_buffer.size: is larger than the usable scratchpad" in invalid.reason
    assert str(tmp_path) not in invalid.reason
    assert "hwspecs/" not in invalid.reason


@pytest.mark.parametrize("name", SHORT_NAMES)
def test_short_names_are_keys_of_a_specification(tmp_path, name):
    values = {"grid": "8x8", "topology": "mesh2d", "buffers": "double"}
    units = {"sram": "64KiB", "buffer_size": "4KiB", "hop_latency": "1ns", "sync": "1cycles"}
    value = values.get(name) or units.get(name) or ("1GB/s" if "bandwidth" in name else "64")
    text = f"models: [nerf]\nhw: [ipu-mk2]\noverrides: {{{name}: [{value}]}}\n"
    (axis,) = read_sweep(written(tmp_path, text)).axes
    assert axis == Axis(name, SHORT_NAMES[name], (value,))


SETTINGS = (("hidden", "128"), ("layers", "1"))
BASE = "models: [nerf]\nhw: [ipu-mk2]\n"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", "1:1", "is empty; a sweep needs models, hw"),
        ("- a", "1:1", "is not a mapping"),
        ("models: [", "1:10", "not valid YAML"),
        ("hw: [ipu-mk2]", "1:1", "models: is missing"),
        ("models: [nerf]", "1:1", "hw: is missing"),
        ("models: []\nhw: [ipu-mk2]", "1:9", "models: is an empty list"),
        ("models: nerf\nhw: [ipu-mk2]", "1:9", "models: is not a list"),
        ("models: [nerf]\nhw: []", "2:5", "hw: is an empty list"),
        ("models: [nerf, nerf]\nhw: [ipu-mk2]", "1:16", "is the same as a model before it"),
        (
            "models: [nerf, {zoo: nerf, batch: 2}]\nhw: [ipu-mk2]",
            "1:16",
            "a second model is called 'nerf'; give it a `label`",
        ),
        ("models: [{label: x}]\nhw: [ipu-mk2]", "1:10", "names no model; give the key file or zoo"),
        ("models: [{zoo: nerv}]\nhw: [ipu-mk2]", "1:16", "did you mean nerf?"),
        (
            "models: [{zoo: nerf, bach: 1}]\nhw: [ipu-mk2]",
            "1:22",
            "unknown key; did you mean batch",
        ),
        ("models: [{zoo: nerf, batch: -1}]\nhw: [ipu-mk2]", "1:29", "a whole number of at least 0"),
        ("models: [{zoo: nerf, phase: x}]\nhw: [ipu-mk2]", "1:29", "'x' is not one of prefill"),
        ("models: [{file: net.onnx, dims: 3}]\nhw: [ipu-mk2]", "1:33", "dims: is not a mapping"),
        ("models: [{file: net.onnx, shapes: {a: 1xb}}]\nhw: [ipu-mk2]", "1:39", "is no shape"),
        ("models: [{file: net.onnx, values: {a: b}}]\nhw: [ipu-mk2]", "1:39", "neither a number"),
        ("models: [nerf]\nhw: [ipu-mk2, ipu-mk2]", "2:15", "is in the list twice"),
        ("models: [nerf]\nhw: [ipu-mk3]", "2:6", "did you mean ipu-mk2?"),
        (BASE + "overides: {}", "3:1", "unknown key; did you mean overrides?"),
        (BASE + "models: [nerf]", "3:1", "models: given twice"),
        (BASE + "overrides: {sran: [1KiB]}", "3:13", "unknown key; did you mean sram?"),
        (BASE + "overrides: {cores: []}", "3:20", "overrides.cores: is an empty list"),
        (BASE + "overrides: {cores: 64}", "3:20", "overrides.cores: is not a list"),
        (BASE + "overrides: {cores: [64, 64]}", "3:25", "is in the list twice"),
        (BASE + "overrides: {cores: [64KiB]}", "3:21", "this is a plain number"),
        (BASE + "overrides: {sram: [64]}", "3:20", "has no unit; write a size like 624KiB"),
        (
            BASE + "overrides: {sram: [1KiB], cores.sram: [2KiB]}",
            "3:39",
            "is cores.sram, as `sram` is; keep one",
        ),
        (
            BASE + "overrides: {buffers: [fixed]}\noptions: {buffers: double}",
            "3:22",
            "contradicts options.buffers",
        ),
        (BASE + "options: {serch: pruned}", "3:11", "unknown key; did you mean search?"),
        (BASE + "options: {search: prune}", "3:19", "did you mean pruned?"),
        (BASE + "options: {simulate: 3}", "3:21", "is not one of true, false"),
        (BASE + "a: &x 1\nb: *x", "3:4", "anchors and aliases are not allowed"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, text, place, message):
    path = written(tmp_path, text)
    with pytest.raises(InvalidInputError) as caught:
        read_sweep(path)
    assert str(caught.value).startswith(f"{path}:{place}: ")
    assert message in str(caught.value)
    assert str(caught.value).count("\n") < 3


@pytest.mark.parametrize("name", ["models: [nett.onnx]\nhw: [ipu-mk2]", BASE[:15] + "hw: [x.yaml]"])
def test_files_that_are_not_there(tmp_path, name):
    with pytest.raises(FileAccessError, match=r"sweep\.yaml:\d:\d+: ") as caught:
        read_sweep(written(tmp_path, name))
    assert "paths are relative to the sweep file" in str(caught.value)


def test_a_sweep_file_that_cannot_be_read(tmp_path):
    (tmp_path / "sweep.yml").touch()
    with pytest.raises(FileAccessError, match="did you mean"):
        read_sweep(tmp_path / "sweep.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"models: \xff")
    with pytest.raises(InvalidInputError, match=r"binary\.yaml:1:9: not text"):
        read_sweep(tmp_path / "binary.yaml")
