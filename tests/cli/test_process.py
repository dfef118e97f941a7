"""What only a process of its own shows: signals, closed and full streams, terminals."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest
from cli_support import HARDWARE, ROOT, Command, Program, listing

from t10c import __version__

EXHAUSTIVE = ("--hw", "ipu-mk2", "--search", "exhaustive")


def group_members(group: int) -> list[int]:
    """Processes of a process group that still run (a zombie does not)."""
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] not in "ZX":
                members.append(int(entry.name))
    return members


def wait_until_searching(process: "subprocess.Popen[bytes]", processes: int) -> None:
    """Return once the numpy of the search is loaded and its processes are there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, "ended before it could be interrupted"
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        if "numpy" in maps and len(group_members(process.pid)) >= processes:
            time.sleep(0.5)
            return
        time.sleep(0.05)
    pytest.fail("the search never began")


@pytest.mark.parametrize(("jobs", "processes"), [(1, 1), (2, 3)])
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_interrupted_search_leaves_nothing(
    program: Program,
    slow: Path,
    tmp_path: Path,
    jobs: int,
    processes: int,
    number: signal.Signals,
    code: int,
    word: str,
) -> None:
    process = program("compile", slow, *EXHAUSTIVE, "-o", "p.json", "--jobs", jobs)
    wait_until_searching(process, processes)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as Ctrl-C does
    else:
        process.send_signal(number)
    out, error = process.communicate(timeout=20)  # not when the search would have ended anyway
    assert process.returncode == code
    assert out == b""
    assert error.decode().strip() == f"{word}; nothing was written"
    deadline = time.monotonic() + 5
    while group_members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert group_members(process.pid) == []
    assert listing(tmp_path) == {}


def test_interrupted_generated_code_ends_with_the_documented_code(tmp_path: Path) -> None:
    text = (
        "import t10c.cli\n"
        "t10c.cli.cli.main = lambda **given: exec('raise KeyboardInterrupt')\n"
        "t10c.cli.main([])"
    )
    (tmp_path / "interrupted.py").write_text(text)
    command = [sys.executable, "-m", "interrupted"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (130, b"interrupted; nothing was written\n")


def test_search_processes_leave_interrupts_to_their_parent(program: Program, slow: Path) -> None:
    process = program("compile", slow, *EXHAUSTIVE, "--jobs", "2")
    wait_until_searching(process, 3)
    for member in group_members(process.pid):
        if member != process.pid:
            os.kill(member, signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    assert len(group_members(process.pid)) >= 3
    process.terminate()
    assert process.communicate(timeout=20)[1] == b"terminated; nothing was written\n"


def test_search_processes_end_with_a_killed_parent(program: Program, slow: Path) -> None:
    process = program("compile", slow, *EXHAUSTIVE, "--jobs", "2")
    wait_until_searching(process, 3)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while group_members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert group_members(process.pid) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("compile", "--help"),
        ("hw", "show", "ipu-mk2"),
        ("zoo", "list", "--format", "json"),
        ("zoo", "build", "nerf", "-o", "-"),
    ],
)
def test_a_full_device_is_exit_3(program: Program, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        process = program(*arguments, stdout=full)
        _, error = process.communicate(timeout=20)
    assert process.returncode == 3
    assert error.decode() == ("error: cannot write to standard output: No space left on device\n")


@pytest.mark.parametrize(
    "arguments",
    [("hw", "show", "ipu-mk2"), ("zoo", "build", "bert-large", "-o", "-")],
    ids=["text", "model"],
)
def test_a_reader_that_leaves_is_no_error(program: Program, arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = program(*arguments, "-q" if "build" in arguments else "--", stdout=writing)
    os.close(writing)
    _, error = process.communicate(timeout=20)
    assert (process.returncode, error) == (0, b"")


def test_closed_streams() -> None:
    script = f'"{sys.executable}" -m t10c "$@"'
    for redirect, arguments, code in (
        (">&-", ["zoo", "list"], 0),
        ("<&-", ["inspect", "-"], 4),
        ("2>&-", ["inspect", "none.onnx"], 3),
    ):
        result = subprocess.run(
            ["sh", "-c", f"{script} {redirect}", "sh", *arguments],
            cwd=ROOT,
            capture_output=True,
            timeout=20,
        )
        assert result.returncode == code, result
        assert b"Traceback" not in result.stderr


def test_any_encoding_of_the_terminal(tmp_path: Path, nerf: Path) -> None:
    model = onnx.load(nerf, load_external_data=False)
    model.graph.name = "\N{SNOWMAN}"
    strange = tmp_path / "\N{SNOWMAN}.onnx"
    onnx.save(model, strange)
    for encoding, shown in (("ascii", b"\\u2603"), ("utf-8", b"\xe2\x98\x83")):
        result = subprocess.run(
            [sys.executable, "-m", "t10c", "inspect", strange],
            cwd=ROOT,
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": encoding},
            timeout=20,
        )
        assert (result.returncode, result.stderr) == (0, b"")
        assert shown in result.stdout


def on_terminal(program: Program, *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output and what a terminal as standard error is shown."""
    ours, theirs = pty.openpty()
    process = program(*arguments, stderr=theirs)
    os.close(theirs)
    assert process.stdout is not None
    shown = b""
    while True:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            shown += part
    os.close(ours)
    out = process.stdout.read().decode()
    return process.wait(), out, shown.decode()


def test_progress_on_a_terminal_for_long_work(program: Program, slow: Path) -> None:
    code, out, shown = on_terminal(program, "compile", slow, "--hw", "ipu-mk2")
    assert code == 0
    assert "searching operators" in shown
    assert re.search(r"searching operators \d+/\d+", shown)
    assert "\x1b" not in out, "colour in standard output"
    assert out.startswith("model ")


def test_no_progress_for_short_work_nor_if_quiet(program: Program, slow: Path, nerf: Path) -> None:
    begun = time.monotonic()
    shown = on_terminal(program, "compile", nerf, *HARDWARE)[2]
    assert shown == "" or time.monotonic() - begun > 1, "a loaded machine may take longer"
    assert on_terminal(program, "compile", slow, "--hw", "ipu-mk2", "-q") == (0, "", "")


def test_no_progress_off_a_terminal(program: Program, slow: Path) -> None:
    process = program("compile", slow, "--hw", "ipu-mk2", "--jobs", "2")
    out, error = process.communicate(timeout=60)
    assert error == b""
    assert b"\x1b" not in out


def test_help_is_quick_to_import() -> None:
    """Help imports nothing that takes long (under 150 ms of CPU time; benchmarks measure)."""
    commands = ("compile", "simulate", "diff", "check", "verify", "sweep", "hw", "cache")
    helps = ([name, "--help"] for name in commands)
    for arguments in ([], ["--help"], *helps, ["--version"]):
        script = (
            "import sys\nfrom t10c.cli import run\n"
            f"run({arguments!r})\n"
            "heavy = {'numpy', 'onnx', 'rich', 'yaml', 'multiprocessing', 'concurrent'}\n"
            "sys.exit(f'imported {heavy & set(sys.modules)}' if heavy & set(sys.modules) else 0)"
        )
        result = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, timeout=20
        )
        assert result.returncode == 0, result.stderr


def test_python_m_t10c(program: Program) -> None:
    out, _ = program("--version").communicate(timeout=20)
    assert out.decode().split() == ["t10c,", "version", __version__]


COMMANDS = [
    ["compile"],
    ["inspect"],
    ["op"],
    ["explain"],
    ["simulate"],
    ["diff"],
    ["check"],
    ["verify"],
    ["hw", "list"],
    ["hw", "show"],
    ["hw", "check"],
    ["calibrate"],
    ["cache", "info"],
    ["cache", "clear"],
    ["zoo", "list"],
    ["zoo", "build"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_the_same_flags_and_an_example(t10c: Command, command: list[str]) -> None:
    shown = t10c(*command, "--help")
    assert shown.code == 0
    for flag in (
        "-q, --quiet",
        "-v, --verbose",
        "--version",
        "-h, --help",
        "--format [table|json",
    ):
        assert flag in shown.out
    assert "Examples:\n    t10c " + " ".join(command) in shown.out
    assert t10c(*command, "--version").out.split()[-1] == __version__
    options = [line for line in shown.out.splitlines() if line.startswith("  -")]
    assert all(len(line) <= 80 for line in options)


QUERIES = [
    ["inspect", "{nerf}"],
    ["op", "matmul", "--axes", "m=8,n=8,k=8", *HARDWARE],
    ["explain", "{plan}"],
    ["explain", "{plan}", "--op", "/layers.0/MatMul"],
    ["verify", "{plan}", "--model", "{nerf}", "--weights", "random"],
    ["hw", "list"],
    ["hw", "show", "ipu-mk2"],
    ["zoo", "list"],
    ["zoo", "build", "nerf", "-o", "built.onnx"],
    ["compile", "{nerf}", *HARDWARE],
]


@pytest.mark.parametrize("command", QUERIES, ids=lambda command: " ".join(command[:2]))
def test_quiet_verbose_and_json(
    t10c: Command, nerf: Path, nerf_plan: Path, command: list[str]
) -> None:
    made = [text.format(nerf=nerf, plan=nerf_plan) for text in command]
    plain = t10c(*made)
    assert plain.code == 0
    assert plain.out.strip()
    assert plain.stderr == ""
    quiet = t10c(*made, "-q")
    assert (quiet.code, quiet.out, quiet.stderr) == (0, "", "")
    assert t10c("-q", *made).out == ""
    verbose = t10c(*made, "-v")
    assert verbose.code == 0
    assert "CPU s" in verbose.stderr
    assert f"t10c {__version__}" in t10c("-v", *made).stderr
    answer = t10c(*made, "--format", "json", "-q")
    assert (answer.code, answer.stderr) == (0, "")
    assert json.loads(answer.out)
