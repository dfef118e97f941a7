"""Recipes: YAML files in models/ that name a family, its hyper-parameters and their source."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from t10c.errors import InvalidInputError, UsageError
from t10c.resources import resource_directory
from t10c.suggest import did_you_mean

_SUFFIX = ".yaml"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A model of the zoo as its file states it.

    `parameters` are in the file's order; `parameter_count` is the number of learned values that
    the source gives, and `seq` and `past` are defaults (0: the family has none).
    """

    name: str
    summary: str
    family: str
    source: str
    parameters: tuple[tuple[str, int | float], ...]
    parameter_count: int
    batch: int
    seq: int
    past: int


def list_recipes() -> tuple[Recipe, ...]:
    """All shipped recipes, by name."""
    return tuple(_read(path) for path in sorted(_directory().glob(f"*{_SUFFIX}")))


def find_recipe(name: str) -> Recipe:
    """The shipped recipe called `name`; UsageError with a suggestion if there is none."""
    names = [path.stem for path in sorted(_directory().glob(f"*{_SUFFIX}"))]
    if name not in names:
        raise UsageError(f"unknown model '{name}'{did_you_mean(name, names)}\n  see t10c zoo list")
    return _read(_directory() / f"{name}{_SUFFIX}")


def _directory() -> Path:
    return resource_directory("models")


def _read(path: Path) -> Recipe:
    """Read one recipe; InvalidInputError if a key is missing or of the wrong kind."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Recipe(
            name=path.stem,
            summary=str(data["summary"]),
            family=str(data["family"]),
            source=" ".join(str(data["source"]).split()),
            parameters=tuple(data["parameters"].items()),
            parameter_count=int(data["parameter_count"]),
            batch=int(data["defaults"]["batch"]),
            seq=int(data["defaults"].get("seq", 0)),
            past=int(data["defaults"].get("past", 0)),
        )
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InvalidInputError(f"{path}: not a recipe: {error!r}") from error
