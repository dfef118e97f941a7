"""`t10c compare`: both schemes at several batches, its forms, and what it refuses."""

import csv
import io
import json

import jsonschema
import pytest
from cli_support import HARDWARE, ROOT, listing
from onnx import TensorProto, helper

import t10c as api


@pytest.fixture
def free_batch(tmp_path):
    """A matmul whose rows are a free dimension, named N."""
    rows = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 24])]
    out = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 16])]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [24, 16], [0.5] * (24 * 16))
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    path = tmp_path / "free.onnx"
    model = helper.make_model(helper.make_graph([node], "free", rows, out, [weight]))
    path.write_bytes(model.SerializeToString())
    return path


def test_the_table_is_short_and_all_of_it_longer(t10c, nerf):
    short = t10c("compare", nerf, *HARDWARE)
    assert short.code == 0
    assert short.stderr == ""
    lines = short.out.splitlines()
    assert len(lines) <= 25
    assert all(len(line) <= 120 for line in lines)
    assert "vgm" in short.out
    every = t10c("compare", nerf, *HARDWARE, "--all").out
    operators = [o.name for o in api.import_model(nerf).planned]
    assert all(any(line.startswith(name) for line in every.splitlines()) for name in operators)


def test_figures_are_those_of_both_simulations(t10c, nerf):
    found = json.loads(t10c("compare", nerf, *HARDWARE, "--format", "json").out)
    schema = json.loads((ROOT / "docs" / "comparison.schema.json").read_text())
    assert schema == api.comparison_schema(), "run make docs"
    jsonschema.Draft202012Validator(schema).validate(found)
    spec = api.load_spec("ipu-mk2", overrides=("cores.count=64",))
    graph = api.import_model(nerf)
    plan, other = api.schedule_model(graph, spec), api.plan_vgm(graph, spec)
    assert isinstance(plan, api.ModelPlan)
    assert isinstance(other, api.VgmPlan)
    (batch,) = found["batches"]
    for side, simulation in (
        ("compute_shift", api.simulate_plan(plan)),
        ("baseline", api.simulate_vgm(other)),
    ):
        total = batch[side]["latency_cycles"]
        assert total == pytest.approx(simulation.latency_cycles)
        parts = [operator[side]["latency_cycles"] for operator in batch["operators"]]
        assert sum(parts) == pytest.approx(total)
        assert batch[side]["peak_core_bytes"] == simulation.peak_core_bytes
        assert 0 < batch[side]["transfer_share"] < 1
    mine, theirs = (batch[s]["latency_cycles"] for s in ("compute_shift", "baseline"))
    assert batch["speedup"] == pytest.approx(theirs / mine)
    assert batch["batch"] is None
    assert found["largest_batch"] is None


def test_a_free_dimension_is_the_batch(t10c, free_batch):
    arguments = ("compare", free_batch, *HARDWARE, "--batches", "1,3", "--batch-dim", "N")
    found = json.loads(t10c(*arguments, "--format", "json").out)
    assert [batch["batch"] for batch in found["batches"]] == [1, 3]
    rows = list(csv.DictReader(io.StringIO(t10c(*arguments, "--format", "csv").out)))
    assert [(row["batch"], row["name"]) for row in rows[-1:]] == [("3", "(model)")]
    last = found["batches"][-1]["baseline"]["latency_cycles"]
    assert float(rows[-1]["baseline_latency_cycles"]) == last
    assert t10c(*arguments, "--format", "markdown").out.startswith("### ")
    unbound = t10c("compare", free_batch, *HARDWARE, "--batches", "1")
    assert unbound.code == 2
    assert "the model has: N" in unbound.stderr


def test_the_largest_batch_is_where_memory_ends(t10c, free_batch):
    tight = ("--hw", "ipu-mk2", "--hw-set", "cores.count=4", "--hw-set", "cores.sram=10KiB")
    arguments = ("compare", free_batch, *tight, "--batch-dim", "N", "--format", "json")
    sized = t10c(*arguments, "--batches", "1", "--max-batch", "2000")
    found = json.loads(sized.out)["largest_batch"]
    assert found["searched"] == 2000
    for side, name in (("compute_shift", "t10c"), ("baseline", "the baseline")):
        assert 1 < found[side] < 2000
        for batch, fits in ((found[side], True), (found[side] + 1, False)):
            (entry,) = json.loads(t10c(*arguments, "--batches", batch).out)["batches"]
            assert (entry[side] is not None) == fits
            assert any(text.startswith(name) for text in entry["misfits"]) != fits


def test_nothing_fits(t10c, free_batch):
    tiny = ("--hw", "ipu-mk2", "--hw-set", "cores.count=2", "--hw-set", "cores.sram=9KiB")
    found = t10c("compare", free_batch, *tiny, "--batches", "9000", "--batch-dim", "N")
    assert found.code == 7
    assert "does not fit" in found.out
    assert "misfit" in found.out


def test_what_computes_nothing_fits(t10c, tmp_path):
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 6]) for name in "xy"]
    node = helper.make_node("Identity", ["x"], ["y"])
    model = helper.make_model(helper.make_graph([node], "idle", ends[:1], ends[1:]))
    (tmp_path / "idle.onnx").write_bytes(model.SerializeToString())
    found = t10c("compare", "idle.onnx", *HARDWARE)
    assert found.code == 0, found.stderr
    assert "does not fit" not in found.out


def test_models_of_the_zoo(t10c):
    small = ("--zoo-set", "layers=2", "--zoo-set", "hidden=8", "--zoo-set", "seq=4")
    found = t10c("compare", "zoo:nerf", *small, "--batches", "2", *HARDWARE, "--format", "json")
    assert json.loads(found.out)["model"] == "nerf"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("zoo:nrf",), 2, "nerf"),
        (("zoo:nerf", "--zoo-set", "seq=many"), 2, "--zoo-set seq=many"),
        (("zoo:nerf", "--zoo-set", "phase=later"), 2, "prefill or decode"),
        (("zoo:nerf", "--zoo-set", "hidden"), 2, "KEY=VALUE"),
        (("zoo:nerf", "--dim", "batch=1"), 2, "--zoo-set"),
        (("zoo:nerf", "--batches", "1,x"), 2, "--batches"),
        (("zoo:nerf", "--batches", "0"), 2, "--batches"),
        (("zoo:nerf", "--baseline", "gpu"), 2, "vgm"),
        (("zoo:nerf", "--persistent", "cache"), 2, "--persistent cache"),
        (("missing.onnx",), 3, "missing.onnx"),
        (("missing.onnx", "--zoo-set", "seq=1"), 2, "zoo:NAME"),
    ],
)
def test_bad_input_is_one_clear_error(t10c, tmp_path, arguments, code, said):
    before = listing(tmp_path)
    found = t10c("compare", *arguments, *HARDWARE, "-o", "report.txt")
    assert found.code == code, found.stderr
    assert said in found.stderr
    assert len(found.stderr.splitlines()) <= 3
    assert "Traceback" not in found.stderr
    assert listing(tmp_path) == before


def test_what_is_wrong_on_standard_input_is_said_of_it(t10c, tmp_path):
    node = helper.make_node("Frob", ["x"], ["y"], name="odd", domain="local")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy"]
    model = helper.make_model(
        helper.make_graph([node], "g", ends[:1], ends[1:]),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("local", 1)],
        ir_version=9,
    )
    (tmp_path / "odd.onnx").write_bytes(model.SerializeToString())
    for name in ("odd.onnx", "-"):
        found = t10c("compare", name, *HARDWARE, stdin=model.SerializeToString())
        assert found.code == 5, found.stderr
        assert f"{'standard input' if name == '-' else name}: " in found.stderr


def test_the_same_bytes_every_time(t10c, nerf, tmp_path):
    for name in ("a.json", "b.json"):
        assert t10c("compare", nerf, *HARDWARE, "--format", "json", "-o", name).code == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    again = t10c("compare", "-", *HARDWARE, "--format", "json", stdin=nerf.read_bytes())
    assert again.stdout == (tmp_path / "a.json").read_bytes()


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 7, 40])
@pytest.mark.parametrize("most", [1, 6, 7, 31])
def test_doubling_and_bisection_find_the_last_that_fits(limit, most):
    tried = []

    def fits(size):
        tried.append(size)
        return size <= limit

    assert api.largest_fitting(fits, most) == min(limit, most)
    assert len(tried) == len(set(tried)) <= 2 * most.bit_length() + 1
    assert api.largest_fitting(lambda size: False, most) == 0
