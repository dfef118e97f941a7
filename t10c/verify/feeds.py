"""Inputs of an inference: drawn by what they are for, or read from a NumPy archive."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from t10c.errors import InvalidInputError, UsageError
from t10c.execute.element_types import dtype_of
from t10c.files import unreadable
from t10c.ir.graph import Graph, Tensor
from t10c.suggest import did_you_mean
from t10c.verify.compare import shape_text
from t10c.verify.draw import draw
from t10c.verify.model import LoadedModel
from t10c.verify.roles import Role, flat_graph
from t10c.verify.rules import tensor_roles

_WANTED = "give a file that numpy.savez wrote, with an array for every input"


def random_feeds(loaded: LoadedModel, seed: int, inference: int = 0) -> dict[str, np.ndarray]:
    """Seeded inputs for one inference; others of the same seed have another number.

    Indices lie in what they index, masks are mostly ones, floats are standard normal (roles.py).
    """
    roles = tensor_roles(flat_graph(loaded.resolved))
    feeds = {}
    for name in loaded.graph.inputs:
        tensor = loaded.graph.tensor[name]
        role = _as_input(roles.get(name))
        key = f"input {inference}: {name}"
        feeds[name] = draw(seed, key, tensor.shape, dtype_of(tensor.element_type), role)
    return feeds


def _as_input(role: Role | None) -> Role | None:
    """Inputs are data: what would make a weight small leaves them as they are."""
    return Role() if role is not None and role.kind in ("matrix", "offset", "gain") else role


def read_feeds(graph: Graph, path: str | Path) -> dict[str, np.ndarray]:
    """Inputs from an .npz file, which must name all inputs of the graph and nothing else.

    Shapes and element types must be those of the graph: nothing is converted. Raises UsageError for
    standard input (-), FileAccessError if the file cannot be read and InvalidInputError, naming it
    and the array, if it does not hold what is needed.
    """
    if str(path) == "-":
        raise UsageError(
            "--inputs cannot be read from standard input: an archive is read here and there\n"
            "write it to a file, and name that: --inputs FILE.npz (./- for a file called '-')"
        )
    try:
        archive = np.load(path, allow_pickle=False)
    except OSError as error:
        raise unreadable(path, error, _WANTED) from error
    except Exception as error:
        # zipfile and NumPy raise all kinds of errors for what is no archive
        raise InvalidInputError(f"{path}: not a NumPy archive (.npz)\n{_WANTED}") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise InvalidInputError(f"{path}: a single array, not an archive (.npz)\n{_WANTED}")
    with archive:
        return _checked(graph, archive, str(path))


def _checked(graph: Graph, archive: Mapping[str, np.ndarray], place: str) -> dict[str, np.ndarray]:
    names = list(archive)
    for name in names:
        if name not in graph.inputs:
            hint = did_you_mean(name, graph.inputs)
            raise InvalidInputError(
                f"{place}: the plan has no input '{name}'{hint}\n{_inputs(graph)}"
            )
    for name in graph.inputs:
        if name not in names:
            raise InvalidInputError(f"{place}: input '{name}' is missing\n{_inputs(graph)}")
    return {name: _array(graph.tensor[name], archive, place) for name in graph.inputs}


def _array(tensor: Tensor, archive: Mapping[str, np.ndarray], place: str) -> np.ndarray:
    try:
        array = np.asarray(archive[tensor.name])
    except Exception as error:
        # pickled objects, and damaged members of the archive
        raise InvalidInputError(
            f"{place}: array '{tensor.name}' cannot be read; it is damaged, or not of numbers\n"
            f"{_WANTED}"
        ) from error
    where = f"{place}: input '{tensor.name}'"
    if array.shape != tensor.shape:
        raise InvalidInputError(
            f"{where} has the shape {shape_text(array.shape)}, "
            f"the plan is for {shape_text(tensor.shape)}\n"
            "give an array of that shape, or compile the model for this one"
        )
    dtype = dtype_of(tensor.element_type)
    if array.dtype.kind == "V" and array.dtype.itemsize == dtype.itemsize:
        return array.view(dtype)  # NumPy stores types that it lacks, such as bfloat16, as bytes
    if array.dtype != dtype:
        raise InvalidInputError(
            f"{where} is of type {array.dtype}, the model takes {dtype}\n"
            f"convert it before saving: array.astype('{dtype}')"
        )
    return array


def _inputs(graph: Graph) -> str:
    shown = [f"{name} ({shape_text(graph.tensor[name].shape)})" for name in graph.inputs[:6]]
    more = ", ..." if len(graph.inputs) > 6 else ""
    return f"its inputs are: {', '.join(shown)}{more}" if shown else "it has no inputs"
