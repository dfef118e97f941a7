"""`t10c hw`: list, show and check hardware specifications."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from t10c.hardware.spec import HardwareSpec

_format_option = click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True
)


@click.group()
def hw() -> None:
    """Hardware specifications: presets and your own files."""


@hw.command("list")
@_format_option
def list_command(form: str) -> None:
    """Show the presets."""
    from t10c.cli.output import emit_json
    from t10c.hardware.load import load_spec, preset_names
    from t10c.hardware.table import size_text

    specs = [load_spec(name) for name in preset_names()]
    if form == "json":
        emit_json([_summary(spec) for spec in specs])
        return
    width = max(len(spec.name) for spec in specs)
    click.echo(f"{'preset':<{width}}  {'cores':>7} {'SRAM/core':>9} {'chips':>5}  what")
    for spec in specs:
        click.echo(
            f"{spec.name:<{width}}  {spec.core_count:>7} {size_text(spec.sram_bytes):>9}"
            f" {spec.chips.count:>5}  {spec.description}"
        )


@hw.command("show")
@click.argument("name", metavar="NAME|FILE")
@click.option("--hw-set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key.")
@_format_option
def show_command(name: str, overrides: tuple[str, ...], form: str) -> None:
    """Show a resolved specification, each number with its source."""
    from t10c.cli.output import emit_json
    from t10c.hardware.document import spec_hash, to_document
    from t10c.hardware.load import load_spec
    from t10c.hardware.table import rows

    spec = load_spec(name, overrides)
    if form == "json":
        emit_json({**to_document(spec), "hash": spec_hash(spec)})
        return
    table = rows(spec)
    key_width = max(len(row.key) for row in table)
    value_width = min(40, max(len(row.value) for row in table if row.source))
    for row in table:
        line = f"{row.key:<{key_width}}  {row.value:<{value_width}}  {row.source}"
        click.echo(line.rstrip())
    for note in spec.notes:
        click.echo(f"note: {note}")


@hw.command("check")
@click.argument("file", metavar="FILE")
@_format_option
def check_command(file: str, form: str) -> None:
    """Validate a specification file; exit 6 and the place of the mistake if it is not valid."""
    from pathlib import Path

    from t10c.cli.output import emit_json
    from t10c.hardware.load import load_spec_file

    spec = load_spec_file(Path(file))
    if form == "json":
        emit_json({"file": file, "valid": True, **_summary(spec)})
        return
    click.echo(f"{file}: valid: {spec.name}, {spec.core_count} cores")
    for note in spec.notes:
        click.echo(f"note: {note}")


def _summary(spec: "HardwareSpec") -> dict[str, object]:
    from t10c.hardware.document import spec_hash

    return {
        "name": spec.name,
        "description": spec.description,
        "core_count": spec.core_count,
        "sram_bytes": spec.sram_bytes,
        "chip_count": spec.chips.count,
        "hash": spec_hash(spec),
        "notes": list(spec.notes),
    }
