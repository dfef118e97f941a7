"""The example and the figures of the hardware docs are those of the code."""

import re

from t10c.hardware.load import load_spec, load_spec_file
from t10c.resources import resource_directory

DOCS = resource_directory("hwspecs").parent / "docs"


def test_the_example_file_is_valid(tmp_path):
    text = (DOCS / "hardware-spec.md").read_text()
    example = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert example
    file = tmp_path / "mine.yaml"
    file.write_text(example[1])
    spec = load_spec_file(file)
    assert spec.sram_bytes == 1248 * 1024
    assert spec.interconnect.cycles_per_byte == 0.56


def test_the_documented_fits_are_those_of_the_preset():
    text = (DOCS / "cost-model.md").read_text()
    spec = load_spec("ipu-mk2")
    for family in ("conv", "pool"):
        model = spec.kernel(family)
        for _, value in model.coefficients:
            assert f"{value:g}" in text, (family, value)
        documented = re.search(r"\| 5-fold cross-validated \| (\S+) % \| (\S+) %", text)
        assert documented
        mape = float(documented[1 if family == "conv" else 2])
        assert abs(mape - model.confidence_mape) < 0.05
