"""What exchanges of a program move, each distinct one worked out once."""

import math

import numpy as np

from t10c.ir.formula import IntArray
from t10c.ir.program import Exchange, Move, Program
from t10c.simulate.boxes import FloatArray
from t10c.simulate.elements import Tensors, Traffic
from t10c.simulate.geometry import Geometry
from t10c.simulate.network import Flows, Transfer, all_flows
from t10c.simulate.store import Lying, Store
from t10c.simulate.traffic import move_traffic, part_traffic


class Exchanges:
    """Transfers of exchanges, remembered by where pieces lie before and after."""

    def __init__(self, program: Program, at: Geometry) -> None:
        self.at = at
        self.tensors = Tensors(
            {tensor.name: tensor.shape for tensor in program.tensors},
            {view.output: view for view in program.views},
        )
        self._known: dict[tuple[object, ...], Traffic] = {}

    def transfer(self, exchange: Exchange, store: Store) -> Transfer:
        """What an exchange moves, in bytes."""
        cores, chips = self.at.cores, self.at.chips
        received, sent = np.zeros(cores), np.zeros(cores)
        to_chip = np.zeros((cores, chips))
        flows: list[Flows] = []
        for move in exchange.moves:
            into = store.held[move.into]
            traffic = self._traffic(into, move, [store.held[name] for name in move.sources])
            width = into.buffer.bits / 8
            received += np.ceil(traffic.received * width)
            leaving = self._leaving(traffic) * width
            sent += np.ceil(leaving.sum(axis=1))
            to_chip += leaving
            if traffic.pairs is not None:
                pairs = traffic.pairs
                spreads = tuple(
                    (spread, _bytes(spread.elements, width)) for spread in pairs.spreads
                )
                size = _bytes(pairs.elements, width)
                flows.append(Flows(pairs.source, pairs.target, size, spreads))
        known = len(flows) == len(exchange.moves)
        return Transfer(received, sent, to_chip, all_flows(flows) if known else None)

    def _leaving(self, traffic: Traffic) -> FloatArray:
        """Elements that every core sends to each chip: on a grid the nearest holder sends all."""
        pairs = traffic.pairs
        if self.at.grid is None or pairs is None or pairs.spreads:
            return traffic.to_chip
        moved = np.where(pairs.source == pairs.target, 0.0, pairs.elements)
        cell = pairs.source * self.at.chips + self.at.chip[pairs.target]
        sent = np.bincount(cell, moved, traffic.to_chip.size).astype(np.float64)
        return sent.reshape(traffic.to_chip.shape)

    def setup_rounds(self, exchange: Exchange, store: Store) -> list[tuple[int, int]]:
        """For every weight of a setup: in how many rounds its idle pieces go round, and their size.

        In a round every core receives one idle piece from another core. Sizes are bytes.
        """
        found = []
        for move in exchange.moves:
            into, home = store.held[move.into], store.held[move.sources[0]]
            received = float(self._traffic(into, move, [home]).received.max())
            elements = max(1, int(home.boxes.sizes.max()))
            found.append((math.ceil(received / elements), home.buffer.size_bytes))
        return found

    def _traffic(self, into: Lying, move: Move, sources: list[Lying]) -> Traffic:
        where: dict[str, int] = {}
        for number, source in enumerate(sources):
            where.setdefault(source.tensor, number)
        key = (
            into.key,
            tuple(source.key for source in sources),
            self._path(move.tensor, where),
            move.partial,
        )
        if key not in self._known:
            if move.partial:
                shape = self.tensors.shapes[move.tensor]
                traffic = part_traffic(into, sources, shape, self.at)
            else:
                traffic = move_traffic(into, move.tensor, sources, self.tensors, self.at)
            self._known[key] = traffic
        return self._known[key]

    def _path(self, tensor: str, where: dict[str, int]) -> tuple[object, ...]:
        """How a tensor is made of the sources by views, without names."""
        view = self.tensors.views.get(tensor)
        own = (self.tensors.shapes[tensor], where.get(tensor, -1))
        if view is None or (tensor in where and len(where) == 1):
            return own
        rest = {name: number for name, number in where.items() if name != tensor}
        kind = (view.kind, view.perm, view.starts, view.steps, view.axis)
        return (*own, kind, *(self._path(name, rest) for name in view.inputs))


def _bytes(elements: FloatArray, width: float) -> IntArray:
    """Bytes of elements of `width` bytes each, rounded up."""
    return np.ceil(elements * width).astype(np.int64)
