"""`t10c zoo`: list the benchmark models and build them as ONNX."""

from typing import TYPE_CHECKING, Literal

import click

from t10c.cli import options as shared
from t10c.cli.group import HelpfulGroup, examples
from t10c.errors import UsageError

if TYPE_CHECKING:
    from onnx import ModelProto

    from t10c import Recipe


@click.group(
    cls=HelpfulGroup,
    epilog=examples("t10c zoo list", "t10c zoo build bert-large --seq 128 -o bert-large.onnx"),
)
def zoo() -> None:
    """Benchmark models as ONNX, built from recipes."""


@zoo.command("list", epilog=examples("t10c zoo list --format json"))
@shared.format_option
@shared.verbosity_options
def list_command(form: str, quiet: bool, verbose: bool) -> None:
    """Show the models, their sizes and default lengths."""
    from t10c import list_recipes
    from t10c.cli.output import print_result

    recipes = list_recipes()
    print_result(
        form, quiet, lambda: [_described(recipe) for recipe in recipes], lambda: _listed(recipes)
    )


def _listed(recipes: "tuple[Recipe, ...]") -> list[str]:
    from t10c.report.text import table_lines

    rows = [
        [
            recipe.name,
            f"{recipe.parameter_count:,}",
            str(recipe.batch),
            *(str(size) if size else "-" for size in (recipe.seq, recipe.past)),
            recipe.summary,
        ]
        for recipe in recipes
    ]
    return table_lines(["model", "parameters", "batch", "seq", "past", "what"], rows, left=(0, 5))


def _described(recipe: "Recipe") -> dict[str, object]:
    return {
        "name": recipe.name,
        "summary": recipe.summary,
        "family": recipe.family,
        "source": recipe.source,
        "parameter_count": recipe.parameter_count,
        "parameters": dict(recipe.parameters),
        "defaults": {"batch": recipe.batch, "seq": recipe.seq or None, "past": recipe.past or None},
    }


@zoo.command(
    "build",
    epilog=examples(
        "t10c zoo build resnet-50 -o resnet-50.onnx",
        "t10c zoo build opt-1.3b --phase decode --past 1024 -o opt-decode.onnx",
        "t10c zoo build llama-2-7b --layers 2 --set hidden=256 --weights random -o tiny.onnx",
    ),
)
@click.argument("name")
@click.option(
    "-o",
    "--output",
    metavar="MODEL",
    required=True,
    help="ONNX file to write; - is standard output.",
)
@click.option("--batch", type=int, help="Batch size; the default is the recipe's.")
@click.option("--seq", type=int, help="Sequence length; new positions in decode (default 1).")
@click.option("--past", type=int, help="Cached positions in decode.")
@click.option(
    "--phase",
    type=click.Choice(["prefill", "decode"]),
    default="prefill",
    show_default=True,
    help="All positions at once, or one step of a decoder with a key-value cache.",
)
@click.option("--layers", help="Build this many layers only; short for --set layers=N.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change a hyper-parameter (t10c zoo list --format json shows them).",
)
@click.option(
    "--weights",
    type=click.Choice(["absent", "random"]),
    default="absent",
    show_default=True,
    help="Absent weights refer to a file that does not exist: planning needs none.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of random weights.",
)
@shared.format_option
@shared.verbosity_options
def build_command(
    name: str,
    output: str,
    batch: int | None,
    seq: int | None,
    past: int | None,
    phase: Literal["prefill", "decode"],
    layers: str | None,
    settings: tuple[str, ...],
    weights: Literal["absent", "random"],
    seed: int,
    form: str,
    quiet: bool,
    verbose: bool,
) -> None:
    """Write the model NAME as ONNX; the same arguments give the same bytes.

    Prints what was built, to standard error if the model goes to standard output.
    """
    from t10c import build_model
    from t10c.cli.output import check_writable, print_result, write_atomic

    check_writable(output)
    overrides = dict(_setting(text) for text in settings)
    if layers is not None:
        overrides["layers"] = layers
    model = build_model(
        name,
        batch=batch,
        seq=seq,
        past=past,
        phase=phase,
        weights=weights,
        seed=seed,
        overrides=overrides,
    )
    data = model.SerializeToString(deterministic=True)
    write_atomic(output, data)
    built = _built(model, output, len(data))
    print_result(form, quiet, lambda: built, lambda: [_built_line(built)], err=output == "-")


def _built(model: "ModelProto", file: str, size_bytes: int) -> dict[str, object]:
    import math

    graph = model.graph
    return {
        "model": graph.name,
        "file": file,
        "file_bytes": size_bytes,
        "nodes": len(graph.node),
        "weight_elements": sum(math.prod(tensor.dims) for tensor in graph.initializer),
        "inputs": {
            value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in graph.input
        },
    }


def _built_line(built: dict[str, object]) -> str:
    from t10c.report.text import size_text

    assert isinstance(built["file_bytes"], int)
    return (
        f"{built['model']}: {built['nodes']} nodes, {built['weight_elements']:,} weight elements;"
        f" wrote {size_text(built['file_bytes'])}"
    )


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and name.strip() and value.strip()):
        raise UsageError(f"--set takes NAME=VALUE, for instance --set hidden=64, not '{text}'")
    return name.strip(), value.strip()
