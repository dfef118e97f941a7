"""A cache that cannot serve, and looking after one that can."""

import json
import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from cache_support import kinds, perceptron, report
from cli_support import HARDWARE, ROOT, Command, Program, listing

pytestmark = pytest.mark.usefixtures("store")


def test_a_damaged_entry_is_computed_anew_and_mentioned_with_v(
    t10c: Command, nerf: Path, store: Path
) -> None:
    plan = t10c("compile", nerf, *HARDWARE, "-o", "-", "-q").stdout
    for verbose in ([], ["-v"]):
        connection = sqlite3.connect(store / "store.sqlite")
        connection.execute("UPDATE entries SET value = substr(value, 1, length(value) - 1)")
        connection.commit()
        connection.close()
        found = t10c("compile", nerf, *HARDWARE, "-o", "-", *verbose)
        assert found.stdout == plan
        notes = [line for line in found.stderr.splitlines() if line.startswith("note: ")]
        said = [line for line in notes if "damaged" in line]
        assert len(said) == len(verbose), found.stderr
    assert str(store) in said[0]
    assert t10c("compile", nerf, *HARDWARE, "-o", "-", "-q").stdout == plan


@pytest.mark.parametrize("command", ["compile", "op", "compare"])
def test_a_cache_that_cannot_be_used_costs_one_warning(
    t10c: Command, nerf: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {
        "compile": ("compile", nerf, *HARDWARE, "--format", "json"),
        "op": ("op", "matmul", "--axes", "m=8,n=8,k=8", *HARDWARE),
        "compare": ("compare", nerf, *HARDWARE),
    }[command]
    for place in ("/proc/t10c", str(nerf)):
        found = t10c(*arguments, "--cache", place)
        assert found.code == 0
        assert len(found.stderr.splitlines()) == 1
        assert found.stderr.startswith(f"warning: the cache '{place}' cannot be used: ")
        assert t10c(*arguments, "-q", "--cache", place).stderr == ""
        monkeypatch.setenv("T10C_CACHE", place)
        assert t10c(*arguments).stderr == found.stderr
        monkeypatch.undo()


def test_a_full_disk_costs_one_warning(nerf: Path, tmp_path: Path, store: Path) -> None:
    def no_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    command = [sys.executable, "-m", "t10c", "compile", str(nerf), *HARDWARE, "-o", "-"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    off = {**environment, "T10C_CACHE": "off"}
    plan = subprocess.run(command, env=off, capture_output=True).stdout
    found = subprocess.run(command, env=environment, capture_output=True, preexec_fn=no_room)
    assert found.returncode == 0
    assert found.stdout == plan
    warnings = [
        line for line in found.stderr.splitlines() if line.startswith(b"warning: the cache")
    ]
    assert len(warnings) == 1, found.stderr
    again = subprocess.run(command, env=environment, capture_output=True)
    assert again.stdout == plan
    assert b"warning: the cache" not in again.stderr


@pytest.mark.parametrize("command", [("op", "matmul", "--axes", "m=2,n=2,k=2"), ("compile", "x")])
def test_wrong_places_are_usage_errors(t10c: Command, command: tuple[str, ...]) -> None:
    found = t10c(*command, *HARDWARE, "--cache", "none")
    assert found.code == 2
    assert found.stderr.startswith("error: --cache none: write a directory, or off")


def test_errors_are_the_same_with_a_cache(t10c: Command, tmp_path: Path) -> None:
    (tmp_path / "damaged.onnx").write_bytes(b"\x08")
    os.mkfifo(tmp_path / "pipe.onnx")
    perceptron(tmp_path / "net.onnx", (8, 12), "batch")
    for arguments in (
        ["missing.onnx"],
        ["damaged.onnx"],
        [""],
        ["."],
        ["net.onnx"],
        ["net.onnx", "--dim", "other=3"],
        ["net.onnx", "--dim", "batch=4", "--persistent", "nothing"],
        ["net.onnx", "--dim", "batch=x"],
        ["x" * 300],
        ["a\0b"],
    ):
        command = ("compile", *arguments, *HARDWARE)
        found, off = t10c(*command), t10c(*command, "--cache", "off")
        assert found == off
        assert found.code not in (0, 1), arguments
    assert kinds(t10c).get("report", {"entries": 0})["entries"] == 0


def test_a_pipe_is_read_once(program: Program, nerf: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    process = program("compile", "pipe.onnx", *HARDWARE, "-o", "-")
    (tmp_path / "pipe.onnx").write_bytes(nerf.read_bytes())
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert json.loads(out)["model"]["name"] == "pipe"


# Looking after it


def test_info_and_clear(t10c: Command, nerf: Path, store: Path) -> None:
    empty = t10c("cache", "info")
    assert empty.code == 0
    assert str(store / "store.sqlite") in empty.out
    assert not store.exists(), "looking makes nothing"
    assert t10c("cache", "clear").out == "0 removed\n"
    assert not store.exists()
    for _ in range(2):
        assert t10c("compile", nerf, *HARDWARE, "-o", "plan.json").code == 0
    document = report(t10c("cache", "info", "--format", "json"))
    assert document["kinds"]["report"] == {
        "entries": 1,
        "entry_bytes": document["kinds"]["report"]["entry_bytes"],
        "hits": 1,
        "misses": 1,
    }
    assert document["kinds"]["choices"]["misses"] == document["kinds"]["choices"]["entries"] == 3
    assert document["limit_bytes"] == 512 << 20
    assert document["file_bytes"] >= document["entry_bytes"] > 0
    table = t10c("cache", "info").out
    assert re.search(r"^choices +3 .* 0 +3$", table, re.MULTILINE)
    assert "512.0 MiB" in table
    count = document["entries"]
    assert report(t10c("cache", "clear", "--format", "json")) == {"removed_entries": count}
    assert report(t10c("cache", "info", "--format", "json"))["kinds"] == {}
    assert t10c("cache", "info", "--cache", "off").out == "the cache is off\n"
    assert report(t10c("cache", "info", "--cache", "off", "--format", "json")) == {"status": "off"}


def test_info_of_something_else_is_an_error_that_helps(t10c: Command, store: Path) -> None:
    store.mkdir()
    (store / "store.sqlite").write_text("something else")
    info, clear = t10c("cache", "info"), t10c("cache", "clear")
    assert (info.code, clear.code) == (3, 3)
    assert "t10c cache clear" in info.stderr
    assert "remove it yourself" in clear.stderr
    assert (store / "store.sqlite").read_text() == "something else"


def test_off_leaves_nothing_anywhere(
    t10c: Command, nerf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert t10c("compile", nerf, *HARDWARE, "--cache", "off").code == 0
    assert listing(tmp_path) == {}
    monkeypatch.delenv("T10C_CACHE")
    assert t10c("compile", nerf, *HARDWARE).code == 0
    assert "xdg/t10c/store.sqlite" in listing(tmp_path)


def test_a_smaller_limit_evicts(t10c: Command, nerf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T10C_CACHE_SIZE", "20KiB")
    plans: dict[int, set[bytes]] = {}
    for cores in (8, 12, 16, 20, 8, 12):
        chip = ("--hw", "ipu-mk2", "--hw-set", f"cores.count={cores}")
        found = t10c("compile", nerf, *chip, "-o", "-", "-q")
        plans.setdefault(cores, set()).add(found.stdout)
    assert all(len(found) == 1 for found in plans.values())
    document = report(t10c("cache", "info", "--format", "json"))
    assert document["entry_bytes"] <= document["limit_bytes"] == 20 << 10


def test_the_zoo_is_compared_with_searches_found_again(t10c: Command, searched: list[str]) -> None:
    command = (
        *("compare", "zoo:nerf", "--zoo-set", "layers=2", "--zoo-set", "hidden=16"),
        *("--batches", "2", "--zoo-set", "seq=4", *HARDWARE, "--format", "json"),
    )
    first = t10c(*command)
    assert first.code == 0, first.stderr
    assert searched
    del searched[:]
    assert t10c(*command) == first
    assert searched == []
