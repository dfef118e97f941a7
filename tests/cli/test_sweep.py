"""`t10c sweep`: files, streams, exit codes; killed and gone on with; on a cluster."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from cli_support import Command, Program, listing

from t10c.cli import run

SWEEP = """
models:
  - {zoo: nerf, batch: 16, seq: 8, layers: 3, set: {hidden: 16}}
hw: [ipu-mk2]
overrides:
  cores: [32, 64]
  sram: [4KiB, 9KiB, 64KiB]
"""
LONGER = """
models:
  - {zoo: nerf, batch: 32, seq: 8, layers: 3, set: {hidden: 32}}
  - {zoo: nerf, label: other, batch: 16, seq: 8, layers: 4, set: {hidden: 24}}
hw: [ipu-mk2]
overrides:
  cores: [64, 128]
  sram: [12KiB, 64KiB, 256KiB]
  link_bandwidth: [5.5GB/s, 11GB/s]
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The longer sweep as CSV, planned in one go."""
    place = tmp_path_factory.mktemp("whole")
    (place / "sweep.yaml").write_text(LONGER)
    assert run(["sweep", str(place / "sweep.yaml"), "-o", str(place / "x.csv"), "-q"]) == 0
    data = (place / "x.csv").read_bytes()
    assert len(data.splitlines()) == 1 + 2 * 12
    return data


def keys_of(journal: Path) -> list[str]:
    """Keys of the whole lines of a journal."""
    lines = journal.read_text().split("\n")[1:-1] if journal.exists() else []
    return [json.loads(line.partition(" ")[2])["key"] for line in lines]


def wait_for_points(process: "subprocess.Popen[bytes]", journal: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while len(keys_of(journal)) < count:
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline, "no points come"
        time.sleep(0.02)


def test_a_directory_gets_every_form_and_a_journal(t10c: Command, tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    result = t10c("sweep", "sweep.yaml", "-o", "out")
    assert result.code == 0, result.stderr
    assert set(listing(tmp_path / "out")) == {
        *("sweep.csv", "sweep.parquet", "sweep.html", "sweep.journal")
    }
    assert result.out.startswith("6 points: 3 fit, 1 do not fit, 2 are no valid chip; 4 planned")
    assert "planning points: 4 to do" in result.stderr
    rows = list(csv.DictReader((tmp_path / "out/sweep.csv").open()))
    assert [(row["cores"], row["sram"]) for row in rows][:4] == [
        *(("32", "4KiB"), ("32", "9KiB"), ("32", "64KiB"), ("64", "4KiB"))
    ]
    before = listing(tmp_path / "out")
    again = t10c("sweep", "sweep.yaml", "-o", "out", "--format", "json")
    assert json.loads(again.out)["planned"] == 0
    assert json.loads(again.out)["status"] == {"fits": 3, "does_not_fit": 1, "invalid_spec": 2}
    assert listing(tmp_path / "out") == before


def test_a_file_is_the_one_form_and_standard_output_has_no_journal(
    t10c: Command, tmp_path: Path
) -> None:
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    assert t10c("sweep", "sweep.yaml", "-o", "x.csv", "-q").code == 0
    assert set(listing(tmp_path)) == {"sweep.yaml", "x.csv", "x.csv.journal"}
    printed = t10c("sweep", "sweep.yaml", "-o", "-", "-q")
    assert printed.stdout == (tmp_path / "x.csv").read_bytes()
    assert printed.stderr == ""
    assert set(listing(tmp_path)) == {"sweep.yaml", "x.csv", "x.csv.journal"}
    for form in ("parquet", "html"):
        assert t10c("sweep", "sweep.yaml", "-o", f"x.{form}", "-q").code == 0
        assert (tmp_path / f"x.{form}").stat().st_size > 1000


def test_a_dry_run_lists_points_and_plans_nothing(t10c: Command, tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    result = t10c("sweep", "sweep.yaml", "--dry-run")
    assert result.code == 0
    assert result.out.splitlines()[-1] == "6 points, 4 to plan"
    assert set(listing(tmp_path)) == {"sweep.yaml"}
    assert t10c("sweep", "sweep.yaml", "-o", "x.csv", "-q").code == 0
    found = t10c("sweep", "sweep.yaml", "-o", "x.csv", "--dry-run", "--format", "json")
    states = Counter(point["state"] for point in json.loads(found.out))
    assert states == {"done": 4, "invalid": 2}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing.yaml", "-o", "x.csv"], 3, ["cannot read 'missing.yaml'"]),
        (["sweep.yaml"], 2, ["-o", "--dry-run"]),
        (["sweep.yaml", "-o", "x.txt/y.csv"], 3, ["cannot write", "mkdir"]),
        (["sweep.yaml", "-o", "sweep.yaml"], 2, ["name a directory, or a file that ends in .csv"]),
        (["sweep.yaml", "-o", ""], 2, ["name a directory"]),
        (["sweep.yaml", "-o", "x.csv", "--jobs", "0"], 2, ["--jobs"]),
        (["sweep.yaml", "-o", "x.csv", "--cluster", "host"], 2, ["write dask://HOST:PORT"]),
        (["sweep.yaml", "-o", "x.csv", "--cluster", "tcp://a:1", "--jobs", "2"], 2, ["contradict"]),
        (["bad.yaml", "-o", "x.csv"], 4, ["bad.yaml:3:1: overides", "did you mean overrides?"]),
        (["broken.yaml", "-o", "x.csv"], 6, ["chip.yaml"]),
    ],
)
def test_what_is_wrong_is_one_error(
    t10c: Command, tmp_path: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    (tmp_path / "bad.yaml").write_text("models: [nerf]\nhw: [ipu-mk2]\noverides: {}\n")
    (tmp_path / "broken.yaml").write_text("models: [nerf]\nhw: [chip.yaml]\n")
    (tmp_path / "chip.yaml").write_text("extends: ipu-mk2\nclok: 1GHz\n")
    before = listing(tmp_path)
    result = t10c("sweep", *arguments)
    assert result.code == code
    assert "Traceback" not in result.stderr
    assert result.stdout == b""
    for word in words:
        assert word in result.stderr
    assert listing(tmp_path) == before


def test_without_packages_a_form_is_refused_or_left_out(
    t10c: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    for name in ("pyarrow", "plotly.offline"):
        monkeypatch.setitem(sys.modules, name, None)
    result = t10c("sweep", "sweep.yaml", "-o", "x.parquet")
    assert result.code == 2
    assert "pip install 't10c[sweep]'" in result.stderr
    assert "planning" not in result.stderr
    assert t10c("sweep", "sweep.yaml", "-o", "x.html").code == 2
    result = t10c("sweep", "sweep.yaml", "-o", "out")
    assert result.code == 0
    assert set(listing(tmp_path / "out")) == {"sweep.csv", "sweep.journal"}
    assert "sweep.parquet is left out" in result.stderr
    assert "sweep.html is left out" in result.stderr


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_sweep_goes_on_with_no_point_lost_or_done_twice(
    program: Program, tmp_path: Path, whole: bytes, jobs: int
) -> None:
    (tmp_path / "sweep.yaml").write_text(LONGER)
    journal = tmp_path / "x.csv.journal"
    known = 0
    for _ in range(2):
        process = program("sweep", "sweep.yaml", "-o", "x.csv", "--jobs", jobs)
        wait_for_points(process, journal, known + 5)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.communicate()
        known = len(keys_of(journal))
        assert not (tmp_path / "x.csv").exists()
    process = program("sweep", "sweep.yaml", "-o", "x.csv", "--jobs", jobs, "--format", "json")
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error.decode()
    keys = keys_of(journal)
    assert json.loads(out)["planned"] == len(keys) - known
    assert set(Counter(keys).values()) == {1}, "a point was done twice"
    assert (tmp_path / "x.csv").read_bytes() == whole


def test_an_interrupted_sweep_says_what_is_kept(program: Program, tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(LONGER)
    process = program("sweep", "sweep.yaml", "-o", "x.csv", "--jobs", "2")
    wait_for_points(process, tmp_path / "x.csv.journal", 3)
    os.killpg(process.pid, signal.SIGINT)
    out, error = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out == b""
    assert b"points are kept in x.csv.journal" in error
    assert set(listing(tmp_path)) == {"sweep.yaml", "x.csv.journal"}


def test_a_sweep_on_a_cluster_is_the_same_while_a_worker_is_killed(
    program: Program, tmp_path: Path, whole: bytes
) -> None:
    distributed = pytest.importorskip("distributed")
    (tmp_path / "sweep.yaml").write_text(LONGER)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        address = cluster.scheduler_address.replace("tcp", "dask")
        process = program("sweep", "sweep.yaml", "-o", "x.csv", "--cluster", address)
        wait_for_points(process, tmp_path / "x.csv.journal", 5)
        worker = next(iter(cluster.workers.values()))
        os.kill(worker.process.pid, signal.SIGKILL)
        error = process.communicate(timeout=300)[1]
    assert process.returncode == 0, error.decode()
    assert b"distributed" not in error
    assert (tmp_path / "x.csv").read_bytes() == whole
    assert set(Counter(keys_of(tmp_path / "x.csv.journal")).values()) == {1}


def test_a_compile_on_a_cluster_gives_the_same_plan(
    program: Program, nerf: Path, tmp_path: Path
) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        process = program(
            *("compile", nerf, "--hw", "ipu-mk2", "--hw-set", "cores.count=64", "-q"),
            *("-o", "far.json", "--cluster", cluster.scheduler_address),
        )
        error = process.communicate(timeout=120)[1]
    assert process.returncode == 0, error.decode()
    assert error == b""
    near = program("compile", nerf, "--hw", "ipu-mk2", "--hw-set", "cores.count=64", "-o", "n.json")
    near.communicate(timeout=120)
    assert (tmp_path / "far.json").read_bytes() == (tmp_path / "n.json").read_bytes()


def test_a_scheduler_that_is_not_there_is_one_error(program: Program, nerf: Path) -> None:
    process = program("compile", nerf, "--hw", "ipu-mk2", "--cluster", "dask://127.0.0.1:1")
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 3
    assert error.decode().startswith("error: no Dask scheduler answered at tcp://127.0.0.1:1 ")
    assert len(error.splitlines()) == 2
