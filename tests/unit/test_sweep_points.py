"""Sweeps: points, what they share, the journal through kills and damage, and the table."""

import csv
import io
import json
import resource
from collections import Counter
from pathlib import Path

import onnx
import pytest

import t10c
from t10c.errors import FileAccessError, InvalidInputError, UnsupportedOperatorError
from t10c.hardware import load, reader
from t10c.jobs import Place
from t10c.sweep import point, run
from t10c.sweep.journal import open_journal, read_journal
from t10c.sweep.table import columns

TINY = "{zoo: nerf, batch: 16, seq: 8, layers: 3, set: {hidden: 16}"
SWEEP = f"""
models:
  - {TINY}}}
  - {TINY[:-1]}, outputs: 8}}, label: other}}
hw: [ipu-mk2]
overrides:
  cores: [32, 64]
  sram: [4KiB, 9KiB, 64KiB]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "sweep.yaml"
    file.write_text(SWEEP)
    return file


@pytest.fixture
def unplanned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Points whose figures are their titles: what is kept does not depend on what it is."""

    def titles(task: point.PointTask) -> tuple[t10c.PointResult, ...]:
        return tuple(t10c.PointResult("refused", title) for title in task.titles)

    monkeypatch.setattr(run, "plan_points", titles)


def model_of(text: str = "") -> str:
    return f"models: [{TINY}{text}}}]\nhw: [ipu-mk2]\n"


def lines_of(journal: Path) -> list[str]:
    return journal.read_text().splitlines()


def test_every_point_is_a_row_that_says_what_compile_says(path):
    sweep = t10c.open_sweep(path)
    rows = sweep.run()
    assert [row.point for row in rows] == list(sweep.points)
    assert len(rows) == 12
    ends = Counter(row.result.status for row in rows)
    assert set(ends) == {"fits", "does_not_fit", "invalid_spec"}
    for row, model in zip(rows, [sweep.models[0]] * 6 + [sweep.models[1]] * 6, strict=True):
        if row.point.spec is None:
            assert row.result.status == "invalid_spec"
            assert row.result.reason == row.point.reason
            continue
        plan = t10c.schedule_model(model.graph, row.point.spec)
        if isinstance(plan, t10c.DoesNotFit):
            assert row.result.demanded_bytes == plan.demanded_bytes
            assert row.result.reason.startswith(plan.operator)
            continue
        figures = row.result.plan
        assert figures is not None
        assert figures.latency_cycles == plan.latency_cycles
        assert figures.peak_core_bytes == plan.peak_core_bytes
        assert figures.gap == plan.gap
        parts = [getattr(figures, f"{name}_cycles") for name in plan.breakdown_cycles()]
        assert sum(parts) == pytest.approx(figures.latency_cycles)


def test_simulated_figures_are_those_of_the_simulator(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(model_of() + "overrides: {cores: [64]}\noptions: {simulate: true}\n")
    sweep = t10c.open_sweep(path)
    (row,) = sweep.run()
    plan = t10c.schedule_model(sweep.models[0].graph, row.point.spec)
    found = t10c.simulate_plan(plan)
    table = t10c.sweep_table(sweep, (row,))
    assert table.column("simulated_latency_cycles") == [found.latency_cycles]
    assert table.column("simulated_peak_core_bytes") == [found.peak_core_bytes]
    parts = [table.column(f"simulated_{name}_cycles")[0] for name in found.breakdown.as_dict()]
    assert sum(parts) == pytest.approx(found.latency_cycles)


def test_the_table_is_the_same_for_any_number_of_processes(path, tmp_path):
    sweep = t10c.open_sweep(path)
    tables = [
        t10c.sweep_table(sweep, sweep.run(journal, Place(jobs=jobs)))
        for jobs, journal in ((1, None), (3, tmp_path / "j"), (1, tmp_path / "j"))
    ]
    assert len({t10c.sweep_csv(table) for table in tables}) == 1


def test_what_points_share_is_done_once(path, monkeypatch):
    """Two models of one chip search their common operators once, and are imported once each."""
    searches, imports = Counter(), Counter()
    find, read = point.find_choices, run.import_models

    def counted(problem, spec, *rest):
        searches[problem, spec] += 1
        return find(problem, spec, *rest)

    def counted_import(file, name):
        imports.update(entry.label for entry in file.models)
        return read(file, name)

    monkeypatch.setattr(point, "find_choices", counted)
    monkeypatch.setattr(run, "import_models", counted_import)
    sweep = t10c.open_sweep(path)
    rows = sweep.run()
    assert set(imports.values()) == {1}
    assert set(searches.values()) == {1}
    figures = [row.result.plan for row in rows if row.result.plan]
    assert sum(figure.distinct_operator_count for figure in figures) > len(searches)


def test_points_of_equal_content_are_planned_once(tmp_path, monkeypatch):
    """A preset, a file of another name that says the same, and an override that changes nothing."""
    (tmp_path / "mine.yaml").write_text("extends: ipu-mk2\nname: mine\n")
    path = tmp_path / "sweep.yaml"
    path.write_text(
        model_of().replace("[ipu-mk2]", "[ipu-mk2, mine.yaml]")
        + "overrides: {sram: [624KiB, 0.609375MiB]}\n"
    )
    planned = []
    monkeypatch.setattr(run, "plan_points", lambda task: planned.append(task) or once(task))
    once = point.plan_points
    sweep = t10c.open_sweep(path)
    rows = sweep.run(tmp_path / "journal")
    assert len(rows) == 4
    assert len({row.result for row in rows}) == 1
    assert [len(task.titles) for task in planned] == [1]
    assert len(lines_of(tmp_path / "journal")) == 2


def test_a_journal_is_gone_on_with_and_only_what_changed_is_planned(path, tmp_path, unplanned):
    journal = tmp_path / "journal"

    def planned() -> int:
        counts: list[int] = []
        t10c.open_sweep(path).run(journal, begun=counts.append)
        return counts[0]

    first = planned()
    assert first == 8, "four of twelve points are no valid chip"
    assert planned() == 0
    path.write_text(SWEEP.replace("label: other", "label: renamed"))
    assert planned() == 0, "a label is no content"
    path.write_text(SWEEP.replace("[32, 64]", "[32, 48, 64]"))
    assert planned() == 4
    path.write_text(SWEEP.replace("outputs: 8", "outputs: 10"))
    assert planned() == 4, "one of two models changed"
    path.write_text(SWEEP + "options: {transitions: uniform}\n")
    assert planned() == 8
    path.write_text(SWEEP)
    assert planned() == 0, "what was planned before is still known"
    keys = [json.loads(line.partition(" ")[2])["key"] for line in lines_of(journal)[1:]]
    assert len(keys) == len(set(keys))


def test_another_t10c_plans_anew(path, monkeypatch):
    before = t10c.open_sweep(path).keys
    assert t10c.open_sweep(path).keys == before
    monkeypatch.setattr(run, "identity", lambda: (("t10c", "another"),))
    after = t10c.open_sweep(path).keys
    assert [key is None for key in before] == [key is None for key in after]
    assert not {key for key in after if key} & {key for key in before if key}


def test_every_cut_of_a_journal_is_gone_on_with(path, tmp_path, unplanned):
    """Whatever a kill left of the file, whole lines are known and the rest is planned again."""
    sweep = t10c.open_sweep(path)
    journal = tmp_path / "journal"
    rows = sweep.run(journal)
    data = journal.read_bytes()
    ends = [at + 1 for at, byte in enumerate(data) if byte == ord("\n")]
    for size in [*range(0, ends[0] + 3), ends[1] - 1, ends[1], ends[1] + 7, len(data) - 1]:
        journal.write_bytes(data[:size])
        counts: list[int] = []
        assert sweep.run(journal, begun=counts.append) == rows
        assert counts == [len(ends) - 1 - max(0, sum(end <= size for end in ends) - 1)]
        assert sorted(lines_of(journal)) == sorted(data.decode().splitlines())


@pytest.mark.parametrize(
    ("old", "new"), [(b"cores=", b"cores-"), (b"result", b"\xff"), (b"{", b""), (b" ", b"  ")]
)
def test_damaged_lines_count_for_nothing(path, tmp_path, unplanned, old, new):
    sweep = t10c.open_sweep(path)
    journal = tmp_path / "journal"
    rows = sweep.run(journal)
    lines = journal.read_bytes().splitlines(keepends=True)
    assert old in lines[2]
    lines[2] = lines[2].replace(old, new, 1)
    journal.write_bytes(b"".join(lines))
    counts: list[int] = []
    assert sweep.run(journal, begun=counts.append) == rows
    assert counts == [1]


@pytest.mark.parametrize(
    "text", ["something else\n", "something", '0000000000000000 {"schema":"x"}\n']
)
def test_a_file_that_is_no_journal_is_left_alone(path, tmp_path, text):
    journal = tmp_path / "journal"
    journal.write_text(text)
    with pytest.raises(InvalidInputError, match="is no journal of a sweep"):
        t10c.open_sweep(path).run(journal)
    assert journal.read_text() == text


def test_a_journal_has_one_writer(tmp_path):
    journal = tmp_path / "journal"
    with (
        open_journal(journal),
        pytest.raises(FileAccessError, match="another t10c sweep is writing"),
        open_journal(journal),
    ):
        pytest.fail("two writers")
    with open_journal(journal):
        assert read_journal(journal) == {}


def test_figures_are_the_same_whether_planned_or_gone_on_with(tmp_path):
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [4])
    model = onnx.helper.make_model(onnx.helper.make_graph([], "idle", [value], [value]))
    onnx.save(model, tmp_path / "idle.onnx")
    path = tmp_path / "sweep.yaml"
    path.write_text("models: [idle.onnx]\nhw: [ipu-mk2]\n")
    sweep = t10c.open_sweep(path)
    journals = (None, tmp_path / "journal", tmp_path / "journal")
    tables = [t10c.sweep_csv(t10c.sweep_table(sweep, sweep.run(journal))) for journal in journals]
    assert tables[0] == tables[1] == tables[2]


def test_the_file_of_a_chip_is_read_once(path, monkeypatch):
    read = load.read_text
    files: list[str] = []

    def counted(text: str, file: str) -> reader.FlatSpec:
        files.append(file)
        return read(text, file)

    monkeypatch.setattr(load, "read_text", counted)
    assert len(t10c.open_sweep(path).points) == 12
    assert len(files) == len(set(files)) == 1


def test_a_full_disk_is_an_error_about_the_journal(path, tmp_path, unplanned):
    journal = tmp_path / "journal"
    sweep = t10c.open_sweep(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with pytest.raises(FileAccessError, match=f"cannot write the journal '{journal}'"):
            sweep.run(journal)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    missing = {key for key in sweep.keys if key is not None} - set(read_journal(journal))
    assert missing
    counts: list[int] = []
    sweep.run(journal, begun=counts.append)
    assert counts == [len(missing)]


def test_what_fails_beside_the_journal_does_not_blame_it(tmp_path):
    with pytest.raises(ConnectionError, match="elsewhere"), open_journal(tmp_path / "journal"):
        raise ConnectionError("elsewhere")


def test_a_bug_names_its_point_and_loses_no_other(path, tmp_path, monkeypatch):
    schedule = point.schedule_model

    def buggy(graph, spec, *rest):
        if spec.core_count == 64:
            raise ZeroDivisionError("a bug")
        return schedule(graph, spec, *rest)

    monkeypatch.setattr(point, "schedule_model", buggy)
    journal = tmp_path / "journal"
    with pytest.raises(ZeroDivisionError) as caught:
        t10c.open_sweep(path).run(journal)
    assert caught.value.__notes__ == ["while planning nerf on ipu-mk2 cores=64 sram=9KiB"]
    assert len(lines_of(journal)) == 1 + 4


def test_what_t10c_refuses_is_a_row(path, monkeypatch):
    def refuse(*arguments):
        raise InvalidInputError("too large\nfor this")

    monkeypatch.setattr(point, "schedule_model", refuse)
    results = {row.result.status: row.result.reason for row in t10c.open_sweep(path).run()}
    assert results["refused"] == "too large for this"


def test_errors_of_models_say_where_the_model_stands(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    path = tmp_path / "sweep.yaml"
    path.write_text("models:\n  - nerf\n  - bad.onnx\nhw: [ipu-mk2]\n")
    with pytest.raises(InvalidInputError, match=r"sweep\.yaml:3:5: bad: "):
        t10c.open_sweep(path)


def test_errors_keep_what_they_know(tmp_path, monkeypatch):
    from t10c.sweep import models

    def refuse(*arguments, **named):
        raise UnsupportedOperatorError("no", (("node", "Op"),))

    monkeypatch.setattr(models, "import_model", refuse)
    path = tmp_path / "sweep.yaml"
    path.write_text(model_of())
    with pytest.raises(UnsupportedOperatorError, match="nerf: no") as caught:
        t10c.open_sweep(path)
    assert caught.value.nodes == (("node", "Op"),)


def test_persistent_tensors_are_those_of_models_that_have_them(tmp_path):
    path = tmp_path / "sweep.yaml"
    text = f"models: [{{zoo: whisper-tiny-decoder, layers: 1}}, {TINY}}}]\nhw: [ipu-mk2]\n"
    path.write_text(text)
    name = t10c.open_sweep(path).models[0].graph.inputs[0]
    assert name not in t10c.open_sweep(path).models[1].graph.tensor
    path.write_text(f"{text}options: {{persistent: ['{name}']}}\n")
    assert [model.persistent for model in t10c.open_sweep(path).models] == [(name,), ()]
    path.write_text(f"{text}options: {{persistent: ['{name}x']}}\n")
    with pytest.raises(InvalidInputError, match="no model has a tensor"):
        t10c.open_sweep(path)


def test_csv_and_parquet_say_the_same(path):
    parquet = pytest.importorskip("pyarrow.parquet")
    sweep = t10c.open_sweep(path)
    table = t10c.sweep_table(sweep, sweep.run())
    lines = list(csv.reader(io.StringIO(t10c.sweep_csv(table).decode())))
    assert lines[0] == [column.name for column in table.columns]
    data = t10c.sweep_parquet(table)
    assert data == t10c.sweep_parquet(table)
    read = parquet.read_table(io.BytesIO(data))
    assert read.column_names == lines[0]
    assert read.schema.field("gap").metadata == {
        b"about": b"share of the latency above the lower bound"
    }
    for row, line in zip(read.to_pylist(), lines[1:], strict=True):
        for (name, value), text in zip(row.items(), line, strict=True):
            if value is None:
                assert text == ""
            elif isinstance(value, bool):
                assert text == str(value).lower()
            else:
                assert type(value)(text) == value, name


def test_names_of_columns_end_in_units_and_are_distinct():
    names = [column.name for column in columns(("cores",), simulated=True)]
    assert len(names) == len(set(names))
    assert all(column.about for column in columns((), simulated=True))
