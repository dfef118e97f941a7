"""Calibration on synthetic samples whose truth is known."""

import itertools

import numpy as np
import pytest

from t10c.errors import FileAccessError, InvalidInputError
from t10c.hardware import fits
from t10c.hardware.calibrate import calibrate, nonnegative_least_squares
from t10c.hardware.samples import Samples, read_samples

CONV_TRUTH = {"fixed": 300.0, "macs": 0.03, "blocks": 0.2, "rows": 5.0}
POOL_TRUTH = {"fixed": 1800.0, "window": 0.65, "window_rows": 1.8}


def conv_samples(noise=0.0):
    grid = itertools.product((1, 2, 3), (1, 4, 16, 20), (4, 8, 32), (64, 256, 1024), (1, 9, 25))
    tiles = np.array(list(grid), dtype=float)
    cycles = fits.combine(CONV_TRUTH, fits.conv_features(*tiles.T))
    cycles = cycles * (1 + noise * np.random.default_rng(7).uniform(-1, 1, len(cycles)))
    return Samples("conv", tiles, cycles)


def with_cycles(samples, index, cycles):
    changed = samples.cycles.copy()
    changed[index] = cycles
    return Samples(samples.kernel, samples.tiles, changed)


def test_noise_free_samples_give_back_their_coefficients():
    result = calibrate(conv_samples())
    found = dict(result.coefficients)
    assert found.pop("peak_macs_per_cycle") == 64
    for name, value in found.items():
        assert value == pytest.approx(CONV_TRUTH.get(name, 0.0), rel=1e-4, abs=1e-5), name
    assert result.cross_validated_mape < 0.01
    assert (result.impossible_count, result.contradictory_count) == (0, 0)


def test_pool_samples_give_back_their_coefficients():
    grid = itertools.product((4, 8, 16), (64, 400, 3600), (1, 9, 25))
    tiles = np.array(list(grid), dtype=float)
    samples = Samples("pool", tiles, fits.combine(POOL_TRUTH, fits.pool_features(*tiles.T)))
    assert dict(calibrate(samples).coefficients) == pytest.approx(POOL_TRUTH, rel=1e-4)


def test_errors_are_those_of_the_noise():
    result = calibrate(conv_samples(noise=0.04))
    assert 1 < result.fitted_mape < 4
    assert result.fitted_mape <= result.cross_validated_mape < 4


def test_impossible_and_contradictory_samples_are_removed():
    clean = conv_samples()
    largest = int(clean.tiles.prod(axis=1).argmax())
    smallest = int(clean.tiles.prod(axis=1).argmin())
    impossible = with_cycles(clean, largest, clean.tiles[largest].prod() / 65)
    both = with_cycles(impossible, smallest, 50 * clean.cycles[smallest])
    result = calibrate(both)
    assert (result.impossible_count, result.contradictory_count) == (1, 1)
    assert dict(result.coefficients)["macs"] == pytest.approx(0.03, rel=1e-4)
    assert result.all_samples_mape > result.fitted_mape


def test_of_a_contradiction_the_sample_with_more_of_them_goes():
    clean = conv_samples()
    largest = int(clean.tiles.prod(axis=1).argmax())
    too_fast = with_cycles(clean, largest, clean.tiles[largest].prod() / 60)
    result = calibrate(too_fast)
    assert (result.impossible_count, result.contradictory_count) == (0, 1)


def test_a_higher_peak_makes_it_possible_again():
    clean = conv_samples()
    largest = int(clean.tiles.prod(axis=1).argmax())
    fast = with_cycles(clean, largest, clean.tiles[largest].prod() / 65)
    assert calibrate(fast, peak_macs_per_cycle=66).impossible_count == 0


def test_too_few_consistent_samples_are_refused():
    samples = conv_samples()
    impossible = Samples("conv", samples.tiles, samples.tiles.prod(axis=1) / 100)
    with pytest.raises(InvalidInputError, match="at least 20 are needed"):
        calibrate(impossible)


@pytest.mark.parametrize("seed", range(20))
def test_nonnegative_least_squares_meets_its_optimality_conditions(seed):
    random = np.random.default_rng(seed)
    matrix, target = random.normal(size=(30, 6)), random.normal(size=30)
    x = nonnegative_least_squares(matrix, target)
    gradient = matrix.T @ (matrix @ x - target)
    assert (x >= 0).all()
    assert gradient[x > 0] == pytest.approx(0, abs=1e-9)
    assert (gradient >= -1e-9).all()


def csv(tmp_path, text):
    path = tmp_path / "samples.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


POOL_LINES = [f"{c},{s},9,{c * s + 100}" for c in (1, 2, 3, 4, 5) for s in (4, 9, 16, 25, 36)]
POOL_FILE = "\n".join(["chl,out_hw,ker_hw,cycles", *POOL_LINES])


def test_kernel_follows_from_the_columns_in_any_order(tmp_path):
    assert read_samples(csv(tmp_path, POOL_FILE)).kernel == "pool"
    text = "cycles,ker_hw,out_hw,chl\n" + "7,1,2,3\n" * 20
    samples = read_samples(csv(tmp_path, text))
    assert samples.tiles[0].tolist() == [3, 2, 1]
    assert samples.cycles[0] == 7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ":1: columns are those of no kernel"),
        ("a,b\n1,2\n", ":1: columns are those of no kernel"),
        ("chl,out_hw,ker_hw,cycles\n1,2,3,4\n", "has 1 samples; a fit takes 20"),
        (POOL_FILE.replace("2,4,9,108", "2,4,9,x"), ":7: cycles is 'x'"),
        (POOL_FILE.replace("2,4,9,108", "2,0,9,108"), ":7: out_hw is '0'"),
        (POOL_FILE.replace("2,4,9,108", "2,-4,9,108"), ":7: out_hw is '-4'"),
        (POOL_FILE.replace("2,4,9,108", "2,4"), ":7: ker_hw is ''"),
        (POOL_FILE.replace("2,4,9,108", "2,4,9,nan"), ":7: cycles is 'nan'"),
        (POOL_FILE.replace("2,4,9,108", "2,4,9,inf"), ":7: cycles is 'inf'"),
        (b"\x89PNG\xff\xfe", "is not a CSV file"),
    ],
)
def test_malformed_files_name_the_line(tmp_path, text, expected):
    with pytest.raises(InvalidInputError) as caught:
        read_samples(csv(tmp_path, text))
    assert expected in str(caught.value)


def test_a_named_kernel_names_its_missing_column(tmp_path):
    path = csv(tmp_path, POOL_FILE.replace("chl", "chn"))
    with pytest.raises(InvalidInputError, match=r"column chl is missing.*did you mean chn\?"):
        read_samples(path, "pool")


def test_a_missing_file_cannot_be_read(tmp_path):
    with pytest.raises(FileAccessError, match="cannot read '"):
        read_samples(tmp_path / "nowhere.csv")
