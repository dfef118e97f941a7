"""The model of a plan, imported again: whether the two belong together, and what it is made of."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import onnx

from t10c.errors import InvalidInputError, UnsupportedOperatorError, UsageError
from t10c.ir.graph import Graph
from t10c.onnx_import.importer import lower_model
from t10c.onnx_import.load import read_model
from t10c.onnx_import.resolve import located, resolve_with_facts
from t10c.onnx_import.resolved import ResolvedModel
from t10c.schedule.result import ModelPlan
from t10c.schedule.rowwise import chain_rowwise, problem_alone
from t10c.verify.tensors import number_external

_REMEDY = "compile this model again, and verify the plan that gives"


@dataclass(frozen=True)
class LoadedModel:
    """A model as its plan was made from it; no weights are read.

    `proto` is as in the file, its tensors with external data numbered (tensors.py); `directory` is
    where those data would lie (None for bytes), and `place` names the model in errors. `graph` is
    the plan's.
    """

    proto: onnx.ModelProto
    directory: Path | None
    place: str
    resolved: ResolvedModel
    graph: Graph


def load_for(plan: ModelPlan, source: str | Path | bytes, place: str = "") -> LoadedModel:
    """Import the model of a plan with the shapes and values that the plan was made for.

    `place` names bytes in errors. Raises InvalidInputError, which says what differs first, if the
    plan was made for another model, and whatever `read_model` and `import_model` raise.
    """
    place = place or ("model" if isinstance(source, bytes) else str(source))
    try:
        with located(source):
            file = read_model(source)
    except InvalidInputError as error:
        if isinstance(source, bytes):
            raise InvalidInputError(f"{place}: {error}") from error
        raise
    number_external(file.model)
    loaded = load_model(file.model, file.directory, place, plan.graph)
    differing = difference(plan.graph, chained_alike(loaded.graph, plan.graph))
    if differing:
        raise _another(place, differing)
    return LoadedModel(file.model, file.directory, place, loaded.resolved, plan.graph)


def load_model(
    proto: onnx.ModelProto, directory: Path | None, place: str, planned: Graph
) -> LoadedModel:
    """Import a numbered model as the planned graph was; its own graph is what comes of it."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    shapes = {name: planned.tensor[name].shape for name in planned.inputs}
    given = planned.bindings
    try:
        resolved, _ = resolve_with_facts(
            copy,
            directory,
            dict(given.dims),
            {**shapes, **dict(given.shapes)},
            planned.name,
            given.numbers(),
        )
        graph = lower_model(resolved)
    except UnsupportedOperatorError as error:
        raise UnsupportedOperatorError(f"{place}: {error}", error.nodes) from error
    except (InvalidInputError, UsageError) as error:
        # a model that imported once does so again: sizes and values are the plan's, not the user's
        reason = re.sub(r"^--(?=shape|dim|value)", "its ", str(error).splitlines()[0])
        raise _another(place, reason) from error
    return LoadedModel(proto, directory, place, resolved, graph)


def _another(place: str, differing: str) -> InvalidInputError:
    return InvalidInputError(
        f"{place}: the plan was made for another model: {differing}\n{_REMEDY}"
    )


def chained_alike(graph: Graph, planned: Graph) -> Graph:
    """The graph with those row-wise operators as chains that the planned one has as chains."""
    whole = {
        operator.name for operator in planned.planned if operator.expression.kernel == "rowwise"
    }
    kept = {problem_alone(operator, graph) for operator in graph.planned if operator.name in whole}
    return chain_rowwise(graph, lambda problem, _: problem not in kept)


def difference(planned: Graph, found: Graph) -> str:
    """What differs first between two graphs, '' if they compute the same; warnings do not count."""
    for what in ("inputs", "outputs"):
        before, after = getattr(planned, what), getattr(found, what)
        if before != after:
            return f"its {what} are {_names(before)}, the model has {_names(after)}"
    if planned.opset != found.opset:
        return f"it is of opset {planned.opset}, the model of {found.opset}"
    for name in planned.tensor:
        if name in found.tensor and planned.tensor[name] != found.tensor[name]:
            before, after = planned.tensor[name], found.tensor[name]
            part = next(
                f.name for f in fields(before) if getattr(before, f.name) != getattr(after, f.name)
            )
            return (
                f"tensor '{name}' has the {part.replace('_', ' ')} {_text(getattr(before, part))}, "
                f"in the model {_text(getattr(after, part))}"
            )
    for old, new in zip(planned.operators, found.operators, strict=False):
        if old != new:
            return _operator_difference(old.name, new.name)
    counts = len(planned.operators), len(found.operators)
    if counts[0] != counts[1]:
        return f"it has {counts[0]} operators, the model {counts[1]}"
    missing = {*planned.tensor} ^ {*found.tensor}
    return f"only one of them has the tensor '{min(missing)}'" if missing else ""


def _operator_difference(old: str, new: str) -> str:
    if old == new:
        return f"operator '{old}' computes something else in the model"
    return f"where it has the operator '{old}', the model has '{new}'"


def _names(names: Iterable[str]) -> str:
    shown = list(names)
    more = ", ..." if len(shown) > 4 else ""
    return ", ".join(shown[:4]) + more if shown else "none"


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, value)) if value else "of a scalar"
    return str(value)
