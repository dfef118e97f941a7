"""From a recipe's name and the caller's choices to an ONNX model."""

from collections.abc import Mapping

from onnx import ModelProto, helper

from t10c import __version__
from t10c.errors import UsageError
from t10c.zoo.families import FAMILIES, Family
from t10c.zoo.graph import IR_VERSION, OPSET, GraphBuilder
from t10c.zoo.recipe import Recipe, find_recipe
from t10c.zoo.request import Phase, WeightMode, Workload
from t10c.zoo.weights import absent_initializers, random_initializers


def build_model(
    name: str,
    *,
    batch: int | None = None,
    seq: int | None = None,
    past: int | None = None,
    phase: Phase = "prefill",
    weights: WeightMode = "absent",
    seed: int = 0,
    overrides: Mapping[str, str] | None = None,
) -> ModelProto:
    """Build the zoo model `name`; equal arguments give equal bytes.

    `None` means the recipe's default (in decode, one new position). `overrides` replace
    hyper-parameters by name, as text. Absent weights refer to a file `<name>.weights` that is not
    written. Raises UsageError for an unknown model, parameter or argument that does not apply, and
    for random weights above 2 GB.
    """
    recipe = find_recipe(name)
    family = FAMILIES[recipe.family]
    run = _workload(recipe, family, batch, seq, past, phase)
    parameters = family.resolve(name, dict(recipe.parameters), overrides or {})
    builder = GraphBuilder()
    try:
        family.build(builder, parameters, run)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from error
    if weights == "random":
        initializers = random_initializers(builder.weights, seed, name)
    else:
        initializers = absent_initializers(builder.weights, f"{name}.weights")
    return helper.make_model(
        builder.finish(name, initializers),
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="t10c-zoo",
        producer_version=__version__,
    )


def _workload(
    recipe: Recipe,
    family: Family,
    batch: int | None,
    seq: int | None,
    past: int | None,
    phase: Phase,
) -> Workload:
    """Defaults applied; UsageError for an argument that the family or phase does not have."""
    if seq is not None and not family.has_sequence:
        raise UsageError(f"{recipe.name} has no sequence: leave out --seq")
    if phase == "decode" and family.cache is None:
        raise UsageError(f"{recipe.name} has no decode phase: only decoders have one")
    if past is not None and phase != "decode":
        raise UsageError("--past is the length of the cache in decode: add --phase decode")
    if past is not None and family.cache == "state":
        raise UsageError(f"{recipe.name} keeps a state of fixed size: leave out --past")
    decode = phase == "decode"
    chosen = Workload(
        batch=recipe.batch if batch is None else batch,
        seq=(1 if decode or not family.has_sequence else recipe.seq) if seq is None else seq,
        past=(recipe.past if past is None else past) if decode else 0,
        phase=phase,
    )
    for option, size in (("--batch", chosen.batch), ("--seq", chosen.seq)):
        if size < 1:
            raise UsageError(f"{option} must be at least 1, not {size}")
    if decode and family.cache == "positions" and chosen.past < 1:
        raise UsageError(f"--past must be at least 1, not {chosen.past}")
    return chosen
