"""The command line: commands parse, call, print; errors become exit codes here.

Commands are imported only when called, so that help stays quick.
"""

import importlib
import os
import sys
from collections.abc import Sequence

import click

from t10c import __version__
from t10c.errors import T10cError

_COMMANDS: dict[str, tuple[str, str]] = {
    "compile": ("t10c.cli.compile:compile_command", "Plan a model; write the plan, report latency."),
    "inspect": ("t10c.cli.inspect:inspect_command", "Show what is in a model; no search."),
    "op": ("t10c.cli.op:op_command", "Search one operator and print its front."),
    "explain": ("t10c.cli.explain:explain_command", "Explain one operator of a plan."),
    "hw": ("t10c.cli.hw:hw", "List, show and check hardware specifications."),
    "calibrate": ("t10c.cli.calibrate:calibrate", "Fit a cost model to measured samples."),
    "zoo": ("t10c.cli.zoo:zoo", "List and build benchmark models."),
}


class _LazyGroup(click.Group):
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


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="t10c")
def cli() -> None:
    """Compile ONNX models to compute-shift plans for inter-core connected AI chips."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the documented code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the documented exit code; prints errors to stderr."""
    try:
        result = cli.main(args=arguments, prog_name="t10c", standalone_mode=False)
        sys.stdout.flush()
    except T10cError as error:
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; nothing was written", err=True)
        return 130
    except BrokenPipeError:
        # the reader has left: not an error of ours, and nobody is there to be told
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:  # anything else is a bug, and says so
        import traceback

        traceback.print_exc()
        click.echo("this is a bug in t10c; please report it with the command above", err=True)
        return 1
    return result if isinstance(result, int) else 0
