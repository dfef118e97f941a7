"""What is in the cores' memory while a program is walked, and what is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from t10c.ir.formula import IntArray, Value
from t10c.ir.program import Buffer, Program, Section
from t10c.program.placed import place_piece
from t10c.simulate.boxes import Boxes, boxes_of
from t10c.simulate.result import MemoryPoint


@dataclass(frozen=True)
class Lying:
    """A buffer and where its contents lie; `boxes` are bounds in the tensor, or of a run of it."""

    buffer: Buffer
    boxes: Boxes
    points: IntArray
    """Elements on every core without gaps between them, (cores,): what an operator computes."""
    key: bytes
    """Equal for boxes that are equal."""

    @property
    def tensor(self) -> str:
        """The tensor it is a piece of."""
        return self.buffer.tensor


@dataclass
class Store:
    """All buffers at a time, the memory they take on every core, and how that went."""

    program: Program
    held: dict[str, Lying] = field(default_factory=dict)
    used_bytes: int = 0
    points: list[MemoryPoint] = field(default_factory=list)
    _counted: dict[str, int] = field(default_factory=dict)
    _places: dict[tuple[object, ...], tuple[Boxes, IntArray, bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shapes = {tensor.name: tensor.shape for tensor in self.program.tensors}
        self.used_bytes = self.program.reserved_bytes
        self.peak_bytes = self.section_peak_bytes = self.used_bytes

    def begin_section(self) -> None:
        """Forget the peak of the section before."""
        self.section_peak_bytes = self.used_bytes

    def place(
        self, buffer: Buffer, section: Section, values: Mapping[str, Value], counters: object
    ) -> Lying:
        """Where a buffer lies whose formulas name a section's values and loop counters.

        Sections that are alike place alike, so this is remembered; `counters` tells rounds apart.
        """
        shape = self.shapes[buffer.tensor]
        key = (buffer.piece, shape, section.values, counters)
        if key not in self._places:
            placed = place_piece(buffer.piece, values)
            boxes = boxes_of(placed, shape)
            self._places[key] = boxes, placed.counts(), boxes.digest()
        return Lying(buffer, *self._places[key])

    def allocate(self, lying: Lying, absorbed: str, cycles: float) -> None:
        """A new buffer, which may take over the memory of another."""
        if absorbed:
            self.used_bytes -= self._counted[absorbed]
            self._counted[absorbed] = 0
        self._add(lying, cycles)

    def free(self, name: str, cycles: float) -> None:
        """Give back a buffer's memory."""
        self.used_bytes -= self._counted.pop(name)
        del self.held[name]
        self._note(cycles)

    def turn_into(self, old: str, lying: Lying, cycles: float) -> None:
        """A buffer that takes over (part of) the memory of another, in place."""
        self.used_bytes -= self._counted.pop(old)
        del self.held[old]
        self._add(lying, cycles)

    def _add(self, lying: Lying, cycles: float) -> None:
        name = lying.buffer.name
        self.held[name] = lying
        self._counted[name] = lying.buffer.size_bytes
        self.used_bytes += lying.buffer.size_bytes
        self._note(cycles)

    def _note(self, cycles: float) -> None:
        """Remember the memory in use from now on; of what changes at one time the peak stays."""
        self.section_peak_bytes = max(self.section_peak_bytes, self.used_bytes)
        self.peak_bytes = max(self.peak_bytes, self.used_bytes)
        points = self.points
        at_once = [p for p in points[-2:] if p.begin_cycles == cycles]
        if len(at_once) == 2 or (at_once and self.used_bytes >= at_once[0].core_bytes):
            most = max(self.used_bytes, *(p.core_bytes for p in at_once))
            del points[-len(at_once) :]
            if most > self.used_bytes:
                points.append(MemoryPoint(cycles, most))
        points.append(MemoryPoint(cycles, self.used_bytes))
