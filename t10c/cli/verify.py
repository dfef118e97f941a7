"""`t10c verify`: execute a plan on simulated cores, compare with ONNX Runtime."""

import math
import os
from pathlib import Path
from typing import Literal

import click

from t10c.cli import options as shared
from t10c.cli.group import examples

MISMATCH = 9


def _bound(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """A tolerance that something can exceed: neither NaN nor infinite."""
    if value is not None and not (math.isfinite(value) and value >= 0):
        raise click.BadParameter(f"{value} is not a finite number of at least 0", ctx, param)
    return value


@click.command(
    "verify",
    epilog=examples(
        "t10c verify resnet.plan.json --model resnet.onnx",
        "t10c verify bert.plan.json --model bert.onnx --weights random --seed 7 --trace",
        "t10c verify net.plan.json --model net.onnx --inputs inputs.npz --rtol 1e-4",
    ),
)
@click.argument("plan", metavar="PLAN")
@click.option("--model", required=True, metavar="MODEL", help="The ONNX file the plan was made of.")
@click.option(
    "--weights",
    type=click.Choice(["model", "random"]),
    default="model",
    show_default=True,
    help="Weights that the file lacks: an error, or drawn at random.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Seed of random inputs and weights.",
)
@click.option("--inputs", metavar="FILE.npz", help="Graph inputs by name, instead of random ones.")
@click.option(
    "--rtol",
    type=float,
    callback=_bound,
    metavar="X",
    help="Error allowed relative to a tensor's largest value.  [default: 1e-3]",
)
@click.option(
    "--atol",
    type=float,
    callback=_bound,
    metavar="X",
    help="Error allowed besides.  [default: 1e-6]",
)
@click.option("--trace", is_flag=True, help="Compare every operator; name the first wrong one.")
@click.option(
    "--program",
    metavar="PROGRAM",
    help="Execute this device program instead of the one that the plan lowers to.",
)
@shared.format_option
@shared.verbosity_options
def verify_command(
    plan: str,
    model: str,
    weights: Literal["model", "random"],
    seed: int,
    inputs: str | None,
    rtol: float | None,
    atol: float | None,
    trace: bool,
    program: str | None,
    form: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Execute PLAN on all simulated cores and compare with ONNX Runtime.

    Runs two inferences in a row, since pieces that have rotated lie elsewhere in the second, and
    compares every graph output. Needs ONNX Runtime: pip install 't10c[verify]'. Exit 9: an output
    differs.
    """
    # Many small products: threads of the BLAS only wait for each other. Read when it is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    from t10c import Tolerance, VerifyOptions, load_plan, load_program, verify_plan
    from t10c.cli.output import emit, print_result
    from t10c.cli.progress import progress
    from t10c.errors import UsageError
    from t10c.files import MODEL_WANTED, PLAN_WANTED, PROGRAM_WANTED
    from t10c.report import verification

    shared.one_standard_input(plan, model, program)
    if not model:
        raise UsageError("--model is empty: name the ONNX file, or - for standard input")
    plan_place, model_place, program_place = (
        "standard input" if path == "-" else path for path in (plan, model, program or "program")
    )
    loaded = load_plan(shared.read_bytes(plan, PLAN_WANTED), plan_place)
    given = None
    if program is not None:
        given = load_program(shared.read_bytes(program, PROGRAM_WANTED), program_place)
    default = Tolerance()
    options = VerifyOptions(
        weights=weights,
        seed=seed,
        inputs=inputs,
        tolerance=Tolerance(
            rtol=default.rtol if rtol is None else rtol, atol=default.atol if atol is None else atol
        ),
        trace=trace,
    )
    source = shared.read_bytes("-", MODEL_WANTED) if model == "-" else Path(model)
    with progress(quiet) as shown:
        found = verify_plan(
            loaded,
            source,
            options,
            given,
            model_place,
            shown.stage,
            shown.advance,
            program_place,
        )
    lines = verification.verification_lines(found)
    print_result(form, quiet, lambda: verification.verification_document(found), lambda: lines)
    if quiet and not found.passed:
        emit(lines[-1], err=True)
    return 0 if found.passed else MISMATCH
