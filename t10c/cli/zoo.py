"""`t10c zoo`: list the benchmark models and build them as ONNX."""

from typing import TYPE_CHECKING

import click

from t10c.errors import UsageError

if TYPE_CHECKING:
    from t10c.zoo import Recipe
    from t10c.zoo.request import Phase, WeightMode


@click.group()
def zoo() -> None:
    """Benchmark models as ONNX, built from recipes."""


@zoo.command("list")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True
)
def list_command(form: str) -> None:
    """Show the models, their sizes and default lengths."""
    from t10c.cli.output import emit_json
    from t10c.zoo import list_recipes

    recipes = list_recipes()
    if form == "json":
        emit_json([_described(recipe) for recipe in recipes])
        return
    click.echo(f"{'model':<12} {'parameters':>14} {'batch':>6} {'seq':>5} {'past':>5}  what")
    for recipe in recipes:
        seq, past = (str(size) if size else "-" for size in (recipe.seq, recipe.past))
        click.echo(
            f"{recipe.name:<12} {recipe.parameter_count:>14,} {recipe.batch:>6} {seq:>5} {past:>5}"
            f"  {recipe.summary}"
        )


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


@zoo.command("build")
@click.argument("name")
@click.option("-o", "--output", required=True, help="File to write; - is standard output.")
@click.option("--batch", type=int, help="Batch size; the default is the recipe's.")
@click.option("--seq", type=int, help="Sequence length; new positions in decode (default 1).")
@click.option("--past", type=int, help="Cached positions in decode.")
@click.option(
    "--phase", type=click.Choice(["prefill", "decode"]), default="prefill", show_default=True
)
@click.option("--layers", help="Build this many layers only; short for --set layers=N.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Hyper-parameter.")
@click.option(
    "--weights",
    type=click.Choice(["absent", "random"]),
    default="absent",
    show_default=True,
    help="Absent weights refer to a file that does not exist: planning needs none.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Of random weights.")
def build_command(
    name: str,
    output: str,
    batch: int | None,
    seq: int | None,
    past: int | None,
    phase: "Phase",
    layers: str | None,
    settings: tuple[str, ...],
    weights: "WeightMode",
    seed: int,
) -> None:
    """Write the model NAME as ONNX; the same arguments give the same bytes."""
    from t10c.cli.output import write_atomic
    from t10c.zoo import build_model

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
    write_atomic(output, model.SerializeToString(deterministic=True))


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and name.strip() and value.strip()):
        raise UsageError(f"--set takes NAME=VALUE, for instance --set hidden=64, not '{text}'")
    return name.strip(), value.strip()
