"""The points of a sweep, in a fixed order, and their specifications."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from t10c.errors import InvalidSpecError
from t10c.hardware.load import read_spec, read_spec_file
from t10c.hardware.spec import HardwareSpec
from t10c.resources import resource_directory
from t10c.sweep.document import Chip, SweepFile


@dataclass(frozen=True)
class Point:
    """A model on a chip that is changed so; `spec` is None where that makes no valid chip.

    `values` has a text per axis of the sweep, `model` the position of the model in it. `reason`
    says why there is no specification.
    """

    model: int
    label: str
    hardware: str
    names: tuple[str, ...]
    values: tuple[str, ...]
    spec: HardwareSpec | None
    reason: str = ""

    @property
    def title(self) -> str:
        """What an error calls the point."""
        changes = [f"{name}={v}" for name, v in zip(self.names, self.values, strict=True)]
        return " ".join([self.label, "on", self.hardware, *changes])


def points_of(sweep: SweepFile) -> tuple[Point, ...]:
    """All points: models, then chips, then overrides, the last one varying fastest.

    Raises FileAccessError and InvalidSpecError for a chip that is not valid by itself.
    """
    chips = [(chip, *changed) for chip in sweep.chips for changed in _changed(chip, sweep)]
    names = tuple(axis.name for axis in sweep.axes)
    return tuple(
        Point(number, model.label, chip.label, names, values, spec, reason)
        for number, model in enumerate(sweep.models)
        for chip, values, spec, reason in chips
    )


def _changed(
    chip: Chip, sweep: SweepFile
) -> Iterator[tuple[tuple[str, ...], HardwareSpec | None, str]]:
    """A chip under all overrides: their values, its specification, or why there is none."""
    written = read_spec_file(chip.spec) if isinstance(chip.spec, Path) else read_spec(chip.spec)
    written.resolved()
    for values in itertools.product(*(axis.values for axis in sweep.axes)):
        keys = (axis.key for axis in sweep.axes)
        changes = [f"{key}={value}" for key, value in zip(keys, values, strict=True)]
        if sweep.options.buffers is not None:
            changes.append(f"shift_buffer.policy={sweep.options.buffers}")
        try:
            yield values, written.resolved(changes), ""
        except InvalidSpecError as error:
            yield values, None, _without_folders(str(error), chip)


def _without_folders(text: str, chip: Chip) -> str:
    """A message in one line that is the same wherever the files lie."""
    folders = [resource_directory("hwspecs")]
    if isinstance(chip.spec, Path):
        folders.append(chip.spec.parent)
    for folder in folders:
        text = text.replace(f"{folder}{os.sep}", "")
    return " ".join(text.split())
