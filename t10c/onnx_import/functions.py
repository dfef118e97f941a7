"""The model's own functions, put in the place of the nodes that call them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import onnx
from onnx import FunctionProto, NodeProto

from t10c.errors import InvalidInputError
from t10c.onnx_import.structure import subgraphs

INLINED_LIMIT = 100_000
"""How many nodes the model may have with its functions inlined."""

_Key = tuple[str, str, str]
_Calls = Mapping[_Key, int]


def inline_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without functions: every node that calls one is replaced by its body.

    Raises InvalidInputError for functions that call themselves, for more nodes than the limit
    allows, and for what onnx's inliner refuses.
    """
    if not model.functions:
        return model
    _check_size(model)
    from onnx.inliner import inline_local_functions

    try:
        return inline_local_functions(model)
    except Exception as error:
        # the inliner raises whatever its C++ code meets
        raise InvalidInputError(
            f"cannot inline the model's functions: {str(error).splitlines()[0]}\n"
            "export the model without local functions"
        ) from error


def _check_size(model: onnx.ModelProto) -> None:
    """Count what the inliner would make: functions that call others twice double it every time."""
    functions = {(f.domain, f.name, f.overload): f for f in model.functions}
    calls = {key: _calls(function.node, functions) for key, function in functions.items()}
    own = {key: _node_count(function.node) for key, function in functions.items()}
    sizes: dict[_Key, int] = {}
    for key in _callees_first(calls, functions):
        sizes[key] = own[key] + sum(n * sizes[callee] for callee, n in calls[key].items())
    total = _node_count(model.graph.node)
    total += sum(n * sizes[key] for key, n in _calls(model.graph.node, functions).items())
    if total > INLINED_LIMIT:
        count = f"{total:,}" if total < 10**15 else "more than 10^15"
        raise InvalidInputError(
            f"the model's functions call one another so often that inlining them makes {count} "
            f"nodes\nat most {INLINED_LIMIT:,} are read\n"
            "export the model without local functions, or a part of it"
        )


def _nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """The nodes with those of their subgraphs."""
    for node in nodes:
        yield node
        for graph in subgraphs(node):
            yield from _nodes(graph.node)


def _node_count(nodes: Iterable[NodeProto]) -> int:
    return sum(1 for _ in _nodes(nodes))


def _calls(nodes: Iterable[NodeProto], functions: Mapping[_Key, FunctionProto]) -> _Calls:
    """How often these nodes call which function."""
    called = Counter((node.domain, node.op_type, node.overload) for node in _nodes(nodes))
    return {key: count for key, count in called.items() if key in functions}


def _callees_first(
    calls: Mapping[_Key, _Calls], functions: Mapping[_Key, FunctionProto]
) -> Iterator[_Key]:
    """Every function after those it calls; InvalidInputError if one calls itself.

    A stack instead of recursion: chains of calls may be longer than Python's own may.
    """
    done: set[_Key] = set()
    for root in functions:
        path: dict[_Key, Iterator[_Key]] = {}
        if root not in done:
            path[root] = iter(calls[root])
        while path:
            key, further = next(reversed(path.items()))
            callee = next((k for k in further if k not in done), None)
            if callee is None:
                del path[key]
                done.add(key)
                yield key
            elif callee in path:
                raise InvalidInputError(
                    f"the model's function '{callee[1]}' (domain '{callee[0]}') calls itself, "
                    "which ONNX does not allow\n"
                    "export the model without local functions, or write the repetition as a Loop"
                )
            else:
                path[callee] = iter(calls[callee])
