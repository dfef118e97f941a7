"""`t10c hw`: list, show and check hardware specifications."""

from typing import TYPE_CHECKING

import click

from t10c.cli import options as shared
from t10c.cli.group import HelpfulGroup, examples

if TYPE_CHECKING:
    from t10c import HardwareSpec


@click.group(
    cls=HelpfulGroup,
    epilog=examples("t10c hw list", "t10c hw show ipu-mk2", "t10c hw check my-chip.yaml"),
)
def hw() -> None:
    """Hardware specifications: presets and your own files."""


@hw.command("list", epilog=examples("t10c hw list --format json"))
@shared.format_option
@shared.verbosity_options
def list_command(form: str, quiet: bool, verbose: bool) -> None:
    """Show the presets."""
    from t10c import load_spec, preset_names
    from t10c.cli.output import print_result

    specs = [load_spec(name) for name in preset_names()]
    print_result(form, quiet, lambda: [_summary(spec) for spec in specs], lambda: _listed(specs))


def _listed(specs: "list[HardwareSpec]") -> list[str]:
    from t10c.report.text import size_text, table_lines

    rows = [
        [
            spec.name,
            f"{spec.core_count:,}",
            size_text(spec.sram_bytes),
            str(spec.chips.count),
            spec.description,
        ]
        for spec in specs
    ]
    return table_lines(["preset", "cores", "SRAM/core", "chips", "what"], rows, left=(0, 4))


@hw.command(
    "show",
    epilog=examples(
        "t10c hw show ipu-mk2",
        "t10c hw show my-chip.yaml --hw-set cores.sram=1MiB --format json",
    ),
)
@click.argument("name", metavar="NAME|FILE")
@shared.override_option
@shared.format_option
@shared.verbosity_options
def show_command(
    name: str, overrides: tuple[str, ...], form: str, quiet: bool, verbose: bool
) -> None:
    """Show a resolved specification, each number with its source."""
    from t10c import load_spec, spec_document, spec_hash
    from t10c.cli.output import print_result

    spec = load_spec(name, overrides)
    print_result(
        form,
        quiet,
        lambda: {**spec_document(spec), "hash": spec_hash(spec)},
        lambda: _shown(spec),
    )


def _shown(spec: "HardwareSpec") -> list[str]:
    from t10c.report.hardware import rows

    table = rows(spec)
    key_width = max(len(row.key) for row in table)
    value_width = min(40, max(len(row.value) for row in table if row.source))
    lines = [
        f"{row.key:<{key_width}}  {row.value:<{value_width}}  {row.source}".rstrip()
        for row in table
    ]
    return [*lines, *(f"note: {note}" for note in spec.notes)]


@hw.command("check", epilog=examples("t10c hw check my-chip.yaml"))
@click.argument("name", metavar="NAME|FILE")
@shared.format_option
@shared.verbosity_options
def check_command(name: str, form: str, quiet: bool, verbose: bool) -> None:
    """Validate a specification: a file, or a preset if there is no such file.

    Exit 6 if it is not valid, with the place of the mistake and what would be right.
    """
    from pathlib import Path

    from t10c import load_spec, load_spec_file
    from t10c.cli.output import print_result

    spec = load_spec_file(Path(name)) if Path(name).exists() else load_spec(name)
    print_result(
        form,
        quiet,
        lambda: {"file": name, "valid": True, **_summary(spec)},
        lambda: [
            f"{name}: valid: {spec.name}, {spec.core_count} cores",
            *(f"note: {note}" for note in spec.notes),
        ],
    )


def _summary(spec: "HardwareSpec") -> dict[str, object]:
    from t10c import spec_hash

    return {
        "name": spec.name,
        "description": spec.description,
        "core_count": spec.core_count,
        "sram_bytes": spec.sram_bytes,
        "chip_count": spec.chips.count,
        "hash": spec_hash(spec),
        "notes": list(spec.notes),
    }
