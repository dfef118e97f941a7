"""Models of a sweep as graphs, each imported once."""

import hashlib
import json
from dataclasses import dataclass

from t10c.errors import InvalidInputError, T10cError, UsageError
from t10c.ir.graph import Graph
from t10c.onnx_import.importer import import_model
from t10c.serialise import encode
from t10c.suggest import did_you_mean
from t10c.sweep.document import FileModel, ModelEntry, SweepFile, ZooModel
from t10c.zoo import build_model


@dataclass(frozen=True)
class ImportedModel:
    """A graph, the hash of all that it says, and the tensors that stay in memory throughout."""

    graph: Graph
    digest: str
    persistent: tuple[str, ...]


def import_models(sweep: SweepFile, file: str) -> tuple[ImportedModel, ...]:
    """The models of a sweep; errors say where in `file` the model stands.

    InvalidInputError for a persistent tensor that no model has; else the errors of the importer.
    """
    graphs = [_located(entry) for entry in sweep.models]
    wanted = sweep.options.persistent
    for name in wanted:
        if not any(name in graph.tensor for graph in graphs):
            known = [tensor for graph in graphs for tensor in graph.tensor]
            raise InvalidInputError(
                f"{file}: options.persistent: no model has a tensor '{name}'"
                f"{did_you_mean(name, known)}\nt10c inspect MODEL lists inputs and outputs"
            )
    return tuple(
        ImportedModel(graph, _digest(graph), tuple(sorted(n for n in wanted if n in graph.tensor)))
        for graph in graphs
    )


def _located(entry: ModelEntry) -> Graph:
    try:
        return _imported(entry.source)
    except UsageError as error:
        raise InvalidInputError(f"{entry.place}: {entry.label}: {error}") from error
    except T10cError as error:
        error.args = (f"{entry.place}: {entry.label}: {error}", *error.args[1:])
        raise


def _imported(source: FileModel | ZooModel) -> Graph:
    if isinstance(source, FileModel):
        return import_model(
            source.path, dict(source.dims), dict(source.shapes), values=dict(source.values)
        )
    model = build_model(
        source.recipe,
        batch=source.batch,
        seq=source.seq,
        past=source.past,
        phase=source.phase,
        overrides=dict(source.settings),
    )
    return import_model(model.SerializeToString(deterministic=True))


def _digest(graph: Graph) -> str:
    text = json.dumps(encode(graph), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
