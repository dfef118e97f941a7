"""`t10c hw` and `t10c calibrate`: output, errors and their exit codes."""

import json

import pytest
import yaml
from click.testing import CliRunner

from t10c.cli import cli
from t10c.cli.calibrate import calibrate
from t10c.cli.hw import hw
from t10c.errors import T10cError
from t10c.hardware.document import from_document, spec_hash
from t10c.hardware.load import load_spec, preset_names


def run(command, *arguments):
    return CliRunner().invoke(cli, [command.name, *map(str, arguments)])


def output_of(command, *arguments):
    result = run(command, *arguments)
    assert result.exit_code == 0, result.output
    return result.output


def exit_code_of(command, *arguments):
    error = run(command, *arguments).exception
    assert isinstance(error, T10cError), error
    return error.exit_code


def test_list_shows_every_preset():
    lines = output_of(hw, "list").splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(preset_names())
    documents = json.loads(output_of(hw, "list", "--format", "json"))
    assert [document["name"] for document in documents] == list(preset_names())


def test_show_prints_values_with_sources():
    lines = output_of(hw, "show", "ipu-mk2", "--hw-set", "cores.count=736").splitlines()
    rows = {line.split()[0]: line for line in lines}
    assert rows["cores.count"].split()[1] == "736"
    assert "--hw-set cores.count=736" in rows["cores.count"]
    assert "624KiB" in rows["cores.sram"]
    assert "0.28 cycles/B" in rows["interconnect.efficiency"]
    assert "Elk artifact" in rows["kernels.matmul.coefficients.load_cycles"]
    assert lines[-2] == "note: overridden: cores.count=736"


def test_show_json_is_the_resolved_document():
    document = json.loads(output_of(hw, "show", "wse2", "--format", "json"))
    digest = document.pop("hash")
    assert from_document(document) == load_spec("wse2")
    assert digest == spec_hash(load_spec("wse2"))


def test_show_errors():
    assert exit_code_of(hw, "show", "nowhere") == 3
    assert exit_code_of(hw, "show", "ipu-mk2", "--hw-set", "cores.sram=5") == 6


def test_check(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("extends: ipu-mk2\nname: mine\n")
    assert output_of(hw, "check", file).startswith(f"{file}: valid: mine, 1472 cores\n")
    document = json.loads(output_of(hw, "check", file, "--format", "json"))
    assert (document["valid"], document["name"]) == (True, "mine")
    file.write_text("extends: ipu-mk2\nname: mine\nclokc: 1GHz\n")
    result = run(hw, "check", file)
    assert result.exception.exit_code == 6
    assert str(result.exception).startswith(f"{file}:3:1: clokc: unknown key; did you mean clock?")
    assert exit_code_of(hw, "check", tmp_path / "none.yaml") == 3


def test_check_takes_a_preset_but_rather_a_file_of_its_name(tmp_path, monkeypatch):
    assert output_of(hw, "check", "ipu-mk2").startswith("ipu-mk2: valid: ipu-mk2, 1472 cores\n")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ipu-mk2").write_text("extends: wse2\nname: mine\n")
    assert output_of(hw, "check", "ipu-mk2").startswith("ipu-mk2: valid: mine, ")


@pytest.fixture
def samples(tmp_path):
    lines = [f"{c},{s},{k},{c * s * k + 2 * s + 100}" for c in (1, 4) for s in (9, 64, 400)
             for k in (1, 4, 9, 25)]  # fmt: skip
    file = tmp_path / "pool.csv"
    file.write_text("\n".join(["chl,out_hw,ker_hw,cycles", *lines]) + "\n")
    return file


def test_calibrate_prints_yaml_that_a_specification_accepts(samples, tmp_path):
    text = output_of(calibrate, samples)
    assert "MAPE cross-validated" in text
    assert list(yaml.safe_load(text)["kernels"]) == ["pool"]
    file = tmp_path / "mine.yaml"
    file.write_text("extends: ipu-mk2\nname: mine\n" + text)
    assert load_spec(str(file)).kernel("pool").source.startswith("t10c calibrate pool.csv")


def test_calibrate_json_and_output_file(samples, tmp_path):
    target = tmp_path / "fit.json"
    assert output_of(calibrate, samples, "--format", "json", "-o", target) == ""
    document = json.loads(target.read_text())
    assert document["sample_count"] == 24
    assert document["coefficients"]["window"] == pytest.approx(1, rel=0.1)
    assert document["cross_validated_mape"] < 15
    assert "5 folds" in document["fold_rule"]


def test_calibrate_errors(samples, tmp_path):
    assert exit_code_of(calibrate, tmp_path / "none.csv") == 3
    assert exit_code_of(calibrate, samples, "--kernel", "conv") == 4
    assert run(calibrate, samples, "--kernel", "gelu").exit_code == 2
