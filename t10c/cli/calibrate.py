"""`t10c calibrate`: fit a kernel's cost model to measured samples."""

from typing import TYPE_CHECKING

import click

from t10c.cli import options as shared
from t10c.cli.group import examples

if TYPE_CHECKING:
    from t10c import Calibration


@click.command(
    epilog=examples(
        "t10c calibrate conv.csv > conv-kernel.yaml",
        "t10c calibrate pool.csv --kernel pool --format json -o fit.json",
    )
)
@click.argument("samples", metavar="SAMPLES.csv")
@click.option(
    "--kernel",
    type=click.Choice(["conv", "pool"]),
    help="The kernel that was measured; by default what the columns say.",
)
@click.option(
    "--peak-macs-per-cycle",
    type=click.FloatRange(min=0, min_open=True, max=1e9),
    metavar="N",
    default=64.0,
    show_default=True,
    help="Rate of one core that no conv sample can exceed.",
)
@shared.format_option
@click.option(
    "-o", "--output", metavar="FILE", default="-", help="File to write; - is standard output."
)
@shared.verbosity_options
def calibrate(
    samples: str,
    kernel: str | None,
    peak_macs_per_cycle: float,
    form: str,
    output: str,
    quiet: bool,
    verbose: bool,
) -> None:
    """Fit the cost model of conv or pool to measured samples, with cross-validated error.

    Columns: batch,in_chl,out_chl,out_hw,ker_hw,cycles for conv; chl,out_hw,ker_hw,cycles for pool;
    out_hw and ker_hw are height x width. The result is YAML to paste into a specification file.
    """
    import json
    from pathlib import Path

    from t10c import calibrate as fit
    from t10c import read_samples
    from t10c.cli.output import check_writable, write_atomic

    check_writable(output, samples)
    calibration = fit(read_samples(Path(samples), kernel), peak_macs_per_cycle)
    if form == "json":
        text = json.dumps(_document(calibration), indent=2) + "\n"
    else:
        text = _table(calibration, Path(samples).name)
    if form == "json" or not (quiet and output == "-"):
        write_atomic(output, text.encode())


def _document(calibration: "Calibration") -> dict[str, object]:
    from dataclasses import asdict

    from t10c import CLEANING_RULE, FOLD_RULE

    return {
        **asdict(calibration),
        "coefficients": dict(calibration.coefficients),
        "cleaning_rule": CLEANING_RULE,
        "fold_rule": FOLD_RULE,
    }


def _table(calibration: "Calibration", file: str) -> str:
    """What was done, how good it is, and the YAML that goes into a specification."""
    from t10c import CLEANING_RULE, FOLD_RULE

    removed = calibration.impossible_count + calibration.contradictory_count
    kept = calibration.sample_count - removed
    source = f"t10c calibrate {_quotable(file)}: {kept} of {calibration.sample_count} samples"
    lines = [
        f"# {kept} of {calibration.sample_count} samples kept; {calibration.impossible_count} "
        f"impossible and {calibration.contradictory_count} contradictory ones removed",
        f"# {CLEANING_RULE}",
        f"# MAPE cross-validated {calibration.cross_validated_mape:.2f} %, "
        f"fitted {calibration.fitted_mape:.2f} %, "
        f"this fit on all samples {calibration.all_samples_mape:.2f} %",
        f"# {FOLD_RULE}",
        "kernels:",
        f"  {calibration.kernel}:",
        "    form: fit",
        "    coefficients:",
        *(f"      {name}: {value:.6g}" for name, value in calibration.coefficients),
        f"    confidence_mape: {calibration.cross_validated_mape:.3g}",
        f'    source: "{source}"',
    ]
    return "\n".join(lines) + "\n"


def _quotable(file: str) -> str:
    """The file name fit for a double-quoted YAML text."""
    return "".join(c if c.isprintable() and c not in '"\\' else "?" for c in file)
