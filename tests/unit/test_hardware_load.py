"""Specification files: presets, overrides, `extends`, and errors with place and remedy."""

import re

import pytest

from t10c.errors import FileAccessError, InvalidSpecError, UsageError
from t10c.hardware import schema
from t10c.hardware.load import load_spec, load_spec_file, preset_names
from t10c.resources import resource_directory

PRESETS = ("ipu-mk2", "ipu-mk2-hbm", "ipu-pod4", "tenstorrent-wormhole-like", "wse2")
BASE = (resource_directory("hwspecs") / "ipu-mk2.yaml").read_text()


@pytest.fixture
def write(tmp_path):
    def write(text, name="chip.yaml"):
        path = tmp_path / name
        if isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(text)
        return path

    return write


def error_of(path, overrides=()):
    with pytest.raises(InvalidSpecError) as caught:
        load_spec_file(path, overrides)
    message = str(caught.value)
    assert len(message.splitlines()) <= 3
    return message


def test_presets_are_shipped():
    assert preset_names() == PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_every_number_of_a_preset_has_a_source(name):
    spec = load_spec(name)
    assert spec.name == name
    sources = dict(spec.sources)
    assert {"clock", "cores.sram", "interconnect.sync"} <= sources.keys()
    for family, model in spec.kernels:
        assert model.source
        for coefficient, _ in model.coefficients:
            assert sources[f"kernels.{family}.coefficients.{coefficient}"]


def test_ipu_mk2_figures():
    spec = load_spec("ipu-mk2")
    assert (spec.core_count, spec.sram_bytes, spec.clock_hz) == (1472, 638_976, 1.325e9)
    assert (spec.element_bytes, spec.accumulator_bytes) == (2, 2)
    assert spec.interconnect.sync_cycles == 118
    assert spec.interconnect.cycles_per_byte == pytest.approx(0.28, rel=1e-12)
    assert (spec.shift_buffer.policy, spec.shift_buffer.size_bytes) == ("fixed", 8192)
    assert not spec.overlap_shift_compute
    assert spec.kernel("conv").confidence_mape < 22.6
    assert spec.kernel("pool").confidence_mape < 6.7


def test_the_other_presets():
    pod, hbm, wafer = (load_spec(n) for n in ("ipu-pod4", "ipu-mk2-hbm", "wse2"))
    assert (pod.core_count, pod.chips.count, pod.chips.communication_factor) == (5888, 4, 1.25)
    assert hbm.offchip.bandwidth_bytes_per_second == 4e12
    assert (wafer.core_count, wafer.sram_bytes) == (850_000, 48 * 1024)
    assert wafer.interconnect.cycles_per_byte == pytest.approx(0.25)
    assert any("simple cost" in note for note in wafer.notes)
    assert any("off-chip" in note and "not priced" in note for note in hbm.notes)
    assert any("cores.grid" in note for note in wafer.notes if note.startswith("estimated"))


def test_overrides_are_applied_and_recorded():
    spec = load_spec(
        "ipu-mk2",
        [
            "cores.sram=1MiB",
            "cores.count=736",
            "interconnect.link_bandwidth=11GB/s",
            "interconnect.sync=59cycles",
            "shift_buffer.policy=double",
        ],
    )
    assert (spec.sram_bytes, spec.core_count) == (1 << 20, 736)
    assert spec.interconnect.cycles_per_byte == pytest.approx(0.14, rel=1e-12)
    assert spec.interconnect.sync_cycles == 59
    assert spec.shift_buffer.policy == "double"
    assert dict(spec.sources)["cores.sram"] == "command line: --hw-set cores.sram=1MiB"
    assert "cores.count=736" in spec.notes[0]


def test_the_last_override_of_a_key_wins_and_time_units_convert():
    spec = load_spec("ipu-mk2", ["clock=1GHz", "clock=2GHz", "interconnect.sync=100ns"])
    assert spec.clock_hz == 2e9
    assert spec.interconnect.sync_cycles == pytest.approx(200)


def test_an_override_replaces_its_rival():
    spec = load_spec("ipu-mk2", ["cores.grid=8x10", "interconnect.kind=torus2d"])
    assert (spec.core_count, spec.core_grid) == (80, (8, 10))


def test_another_form_drops_the_old_coefficients():
    spec = load_spec(
        "ipu-mk2",
        [
            "kernels.pool.form=roofline",
            "kernels.pool.coefficients.elements_per_cycle=4",
            "kernels.pool.coefficients.fixed=0",
        ],
    )
    assert spec.kernel("pool").coefficients == (("elements_per_cycle", 4.0), ("fixed", 0.0))
    assert spec.kernel("pool").confidence_mape is None


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("cores.smam=1MiB", "--hw-set cores.smam: unknown key; did you mean cores.sram?"),
        ("cores.sram=12", "--hw-set cores.sram: '12' has no unit"),
        ("cores.sram=-1KiB", "--hw-set cores.sram: '-1KiB' is negative"),
        ("cores.count=0", "--hw-set cores.count: '0' is too small; at least 1 cores"),
        ("cores.count=1.5", "is not a whole number of cores"),
        ("cores.count=true", "'true' is not a number"),
        ("clock=.nan", "'.nan' is not a frequency"),
        ("clock=1e999Hz", "is too large"),
        ("clock=5MB", "'5MB' is not a frequency; allowed units: Hz, kHz, MHz, GHz"),
        ("chips.count=3", "1472 cores do not divide over 3 chips"),
        ("cores.reserved=624KiB", "leaves nothing of cores.sram"),
        ("shift_buffer.size=1MiB", "larger than the usable scratchpad"),
        ("shift_buffer.policy=duoble", "one of fixed, double; did you mean double?"),
        ("interconnect.kind=mesh2d", "mesh2d needs cores.grid"),
        ("interconnect.efficiency=1.1", "is too large; at most 1"),
        ("chips.communication_factor=0.5", "is too small; at least 1"),
        ("offchip.capacity=1GiB", "needs offchip.bandwidth"),
        ("extends=wse2", "--hw-set extends: unknown key"),
        ("kernels.conv.coefficients.granule=4", "form fit has no such coefficient"),
        ("kernels.matmul.coefficients.m_group=0", "is too small"),
    ],
)
def test_wrong_overrides(override, expected):
    with pytest.raises(InvalidSpecError) as caught:
        load_spec("ipu-mk2", [override])
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("cores.sram", "--hw-set 'cores.sram': write KEY=VALUE"),
        ("=1MiB", "--hw-set '=1MiB': write KEY=VALUE"),
        ("cores.sram=", "--hw-set cores.sram: has no value"),
    ],
)
def test_overrides_of_another_form(override, expected):
    with pytest.raises(UsageError) as caught:
        load_spec("ipu-mk2", [override])
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "  sram: 624KiB",
            "  sarm: 624KiB",
            r":12:3: cores.sarm: unknown key; did you mean sram\?",
        ),
        ("  sram: 624KiB", "  sram: 624", r":12:9: cores.sram: '624' has no unit; .*624KiB"),
        ("  sram: 624KiB", "  sram: -624KiB", r":12:9: cores.sram: '-624KiB' is negative"),
        ("  sram: 624KiB", "  sram: 624GHz", r":12:9: cores.sram: '624GHz' is not a size"),
        ("  sram: 624KiB", "  sram: [1]", r":12:9: cores.sram: is a list; it must be a size"),
        ("  sram: 624KiB", "  sram: {a: 1}", r":12:9: cores.sram: is a mapping"),
        ("  sram: 624KiB", "  sram:", r":12:8: cores.sram: has no value"),
        ("  sram: 624KiB", "  sram: 0.3B", r":12:9: cores.sram: .*too small"),
        ("  sram: 624KiB", "  sram: 624KiB\n  sram: 1MiB", r":13:3: cores.sram: given twice"),
        ("  count: 1472", "  count: 0", r":11:10: cores.count: '0' is too small"),
        ("  count: 1472", "  count: yes", r":11:10: cores.count: 'yes' is not a number"),
        ("  count: 1472", "  count: .inf", r":11:10: cores.count: '.inf' is not a number"),
        ("  count: 1472", "  count: 1" + "0" * 50, r":11:10: cores.count: .* too large"),
        ("  count: 1472", "  count: 1" + "0" * 500, r":11:10: cores.count: .* is not a number"),
        ("  count: 1472", "  count: 1472cores", r":11:10: cores.count: .* has a unit"),
        ("clock: 1.325GHz", "clock: &a 1.325GHz", r":4:8: anchors and aliases are not allowed"),
        ("kind: all-to-all", "kind: all2all", r": interconnect.kind: 'all2all' is not allowed"),
        ("overlap_shift_compute: false", "overlap_shift_compute: maybe", "true or false"),
        ("    form: tiled", "    form: fit", "kernels.matmul.form: 'fit' is not allowed"),
        ("      m_group: 6\n", "", "kernels.matmul.coefficients.m_group: is missing"),
        ("      fixed: 175\n", "", "kernels.reduce.coefficients.fixed: is missing; form tiled"),
        (
            "      peak_macs_per_cycle: 64\n",
            "",
            "kernels.conv.coefficients.peak_macs_per_cycle: is",
        ),
        ("name: ipu-mk2", "name: a b", "'a b' is not a name"),
        ("name: ipu-mk2\n", "", ":1:1: name: is missing"),
    ],
)
def test_errors_name_place_key_and_remedy(write, old, new, expected):
    assert old in BASE
    path = write(BASE.replace(old, new, 1))
    message = error_of(path)
    assert message.startswith(str(path))
    assert re.search(expected, message), message


def test_a_number_without_a_source_is_refused(write):
    text = re.sub(r"\n    sram: \"[^\n]*", "", BASE)
    assert "cores.sram: has no source; say where the number is from: cores.source.sram" in (
        error_of(write(text))
    )


def test_an_empty_source_is_refused(write):
    text = re.sub(r"\n    sram: \"[^\n]*", '\n    sram: ""', BASE)
    assert "cores.source.sram: must be text" in error_of(write(text))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", ":1:1: is empty"),
        ("# only a comment\n", ":1:1: is empty"),
        ("- 1\n- 2\n", ":1:1: is not a mapping"),
        ("just text", ":1:1: is not a mapping"),
        ("a: [1, 2\nb: 3\n", ":2:2: not valid YAML"),
        ("a: b: c", ":1:5: not valid YAML"),
        ("a: 1\n---\nb: 2\n", ":2:1: a second document"),
        ("[" * 50_000, ":1:9: nested deeper"),
        ("a: &x [1]\nb: [*x, *x]\n", ":1:4: anchors and aliases"),
        ("a: !!python/object:os.system x\n", ":1:1: a: unknown key"),
        (b"\x89PNG\r\n\x1a\n\x00", ":1:1: not text: byte 0x89"),
        (b"name: \x00x\n", ":1:7: not text: character #x0000"),
        (b"\xff\xfe\x00\x00", ":1:1: not text"),
        (b"a" * (1 << 20) + b"aa", "larger than 1 MiB"),
        ("? [1, 2]\n: 3\n", ":1:3: ?: unknown key"),
        ("cores: 5\n", ":1:8: cores: is not a mapping; it has the keys count, grid"),
        ("source: 5\n", "source: must be text"),
    ],
)
def test_files_that_are_no_specification(write, content, expected):
    assert expected in error_of(write(content))


def test_many_mistakes_take_three_lines(write):
    message = error_of(write("a: 1\nb: 2\nc: 3\nd: 4\n"))
    lines = message.splitlines()
    assert len(lines) == 3
    assert lines[2] == "... and 2 more problems"


def test_extends_takes_over_and_needs_new_sources(write):
    child = "extends: ipu-mk2\nname: big\ncores:\n  sram: 1MiB\n"
    assert "cores.sram: has no source" in error_of(write(child))
    spec = load_spec_file(write(child + "  source: what if\n"))
    assert (spec.name, spec.sram_bytes, spec.core_count) == ("big", 1 << 20, 1472)
    assert dict(spec.sources)["cores.sram"] == "what if"
    assert dict(spec.sources)["cores.count"].startswith("Graphcore")


def test_extends_a_file_beside_it(write):
    write("extends: ipu-mk2\nname: mid\n", "mid.yaml")
    assert load_spec_file(write("extends: mid.yaml\nname: top\n")).name == "top"


def test_extends_in_a_circle_or_nowhere(write):
    write("extends: b.yaml\nname: a\n", "a.yaml")
    circle = write("extends: a.yaml\nname: b\n", "b.yaml")
    assert "leads back" in error_of(circle)
    assert "did you mean ipu-mk2?" in error_of(write("extends: ipu-mk3\nname: c\n"))


def test_a_missing_file_suggests_a_preset():
    with pytest.raises(FileAccessError, match=r"did you mean ipu-mk2\?"):
        load_spec("ipu-mk")


@pytest.mark.parametrize("name", ["nowhere.yaml", "a\0b", "x" * 5000, ""])
def test_names_that_no_file_has(name):
    with pytest.raises(FileAccessError):
        load_spec(name)


def test_a_directory_cannot_be_read(tmp_path):
    with pytest.raises(FileAccessError, match="cannot read '"):
        load_spec(str(tmp_path))


def test_every_key_is_documented():
    docs = resource_directory("hwspecs").parent / "docs" / "hardware-spec.md"
    text = docs.read_text()
    for key in schema.KEYS:
        assert f"`{key.path}`" in text, key.path
    for family in schema.children("kernels"):
        for name in schema.children(f"kernels.{family}.coefficients"):
            assert f"`{name}`" in text, (family, name)


def test_a_fit_needs_a_feature(write):
    text = re.sub(r"      (window|window_rows): [^\n]*\n", "", BASE)
    text = text.replace("      fixed: 1772.24\n", "      {}\n")
    message = error_of(write(text))
    assert "kernels.pool.coefficients: is missing; a fit has one of fixed, window" in message
