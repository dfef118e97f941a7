"""The command line: commands parse, call, print; errors become exit codes here.

Commands are imported only when called, so that help stays quick.
"""

import contextlib
import errno
import gc
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import click

from t10c import __version__
from t10c.cli.group import HelpfulGroup, examples
from t10c.errors import FileAccessError, T10cError

_COMMANDS: dict[str, tuple[str, str]] = {
    "compile": (
        "t10c.cli.compile:compile_command",
        "Plan a model: write the plan, report latency.",
    ),
    "inspect": ("t10c.cli.inspect:inspect_command", "Show what is in a model; no search."),
    "ops": ("t10c.cli.ops:ops_command", "List operators and what becomes of each."),
    "op": ("t10c.cli.op:op_command", "Search one operator and print its front."),
    "explain": (
        "t10c.cli.explain:explain_command",
        "Explain one operator of a plan, or its program.",
    ),
    "simulate": (
        "t10c.cli.simulate:simulate_command",
        "Simulate a plan: latency report, trace, what-if.",
    ),
    "compare": (
        "t10c.cli.compare:compare_command",
        "Compare t10c with a virtual global memory, simulated.",
    ),
    "sweep": ("t10c.cli.sweep:sweep_command", "Plan models on many chips: one table, resumable."),
    "diff": ("t10c.cli.diff:diff_command", "Compare two plans or simulation reports."),
    "check": ("t10c.cli.check:check_command", "Gate for CI: latency and memory within limits."),
    "verify": (
        "t10c.cli.verify:verify_command",
        "Execute a plan on simulated cores, compare with ONNX Runtime.",
    ),
    "hw": ("t10c.cli.hw:hw", "List, show and check hardware specifications."),
    "calibrate": ("t10c.cli.calibrate:calibrate", "Fit a cost model to measured samples."),
    "cache": ("t10c.cli.cache:cache", "Show and clear the cache of searches and plans."),
    "zoo": ("t10c.cli.zoo:zoo", "List and build benchmark models."),
}

_EXIT_CODES = """\b
Exit codes:
  0  done                       5  unsupported operator
  1  a bug in t10c              6  invalid hardware specification
  2  usage                      7  does not fit
  3  cannot read or write       8  time limit reached without a plan
  4  invalid model, plan, data  9  a comparison or limit failed
  130 interrupted (143 by SIGTERM); nothing is left half-written"""


class _Terminated(BaseException):
    """SIGTERM arrived."""


class _LazyGroup(HelpfulGroup):
    """A group whose commands are named above and imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Command names in the order of a typical session."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name][0].split(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in --help, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "t10c zoo build bert-large -o bert-large.onnx",
        "t10c compile bert-large.onnx --hw ipu-mk2 -o bert-large.plan.json",
        "t10c explain bert-large.plan.json",
    )
    + "\n\n"
    + _EXIT_CODES,
)
@click.option("-q", "--quiet", is_flag=True, help="Errors only, and JSON where asked for.")
@click.option("-v", "--verbose", is_flag=True, help="Say more, on standard error.")
@click.version_option(__version__, prog_name="t10c")
def cli(quiet: bool, verbose: bool) -> None:
    """Compile ONNX models to compute-shift plans for inter-core connected AI chips."""


GARBAGE_THRESHOLDS = (1_000_000, 50, 100)
"""Graphs and plans are many small values, hardly any in cycles: looking for those is dear."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the documented code."""
    _settle_streams()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    signal.signal(signal.SIGTERM, _terminate)
    code = run(arguments)
    # An interrupt within generated code, a dataclass's say, ends `python -m` by its signal even if
    # it was caught, unless text is run again.
    exec("")
    gc.freeze()  # what is left goes with the process: nothing to look for at its end
    sys.exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the documented exit code; prints errors to stderr."""
    from t10c.cli.output import flush, forsake

    try:
        result = cli.main(args=arguments, prog_name="t10c", standalone_mode=False)
        flush()
    except T10cError as error:
        _complain(f"error: {error}")
        with contextlib.suppress(FileAccessError):
            flush()
        return error.exit_code
    except click.ClickException as error:
        _complain(_usage_text(error))
        return 2
    except (click.Abort, KeyboardInterrupt):
        _complain("interrupted; nothing was written")
        return 130
    except _Terminated:
        _complain("terminated; nothing was written")
        return 128 + signal.SIGTERM
    except SystemExit:
        # click found nobody reading its help: not an error of ours, and nobody is there to be told
        forsake()
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG, errno.EDQUOT):
            return _bug()
        # click could not print a help text
        forsake()
        _complain(f"error: cannot write to standard output: {error.strerror}")
        return FileAccessError.exit_code
    except Exception:  # anything else is a bug, and says so
        return _bug()
    return result if isinstance(result, int) else 0


def _bug() -> int:
    import traceback

    _complain(traceback.format_exc().rstrip())
    _complain("this is a bug in t10c; please report it with the command above")
    return 1


def _usage_text(error: click.ClickException) -> str:
    """click's message in our form: what is wrong, and where to read on."""
    if type(error).__name__ == "NoArgsIsHelpError":  # of click 8.2 and newer
        return error.format_message()
    message = error.format_message().rstrip(".")
    text = f"error: {message[:1].lower()}{message[1:]}"
    context = getattr(error, "ctx", None)
    return f"{text}\ntry: {context.command_path} --help" if context is not None else text


def _complain(text: str) -> None:
    """Say something on standard error, if anybody listens."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Terminated


def _settle_streams() -> None:
    """Closed streams lead nowhere, and a character that a terminal lacks is no reason to fail."""
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper) and name != "stdin":
            stream.reconfigure(errors="backslashreplace")
