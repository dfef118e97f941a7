"""Whether what an exchange reads is on the cores: every element in one of its sources."""

from collections.abc import Iterable, Mapping

import numpy as np

from t10c.ir.program import Program
from t10c.program.held import Held, Ledger
from t10c.program.placed import BoolArray, mark
from t10c.program.views import known_elements
from t10c.program.wrong import WrongError, shown


class Coverage:
    """Follows views back to the buffers that hold the tensors they are made of."""

    def __init__(self, program: Program, ledger: Ledger) -> None:
        self.ledger, self.tensor = ledger, ledger.tensor
        self.views = {view.output: view for view in program.views}
        self._whole: dict[bytes, bool] = {}
        """Whether pieces that lie like this make up their tensor: like layers lie alike."""

    def check(self, tensor: str, sources: Iterable[str], into: Held | None = None) -> None:
        """Every element that `into` needs of the tensor lies on some core, in one of the sources.

        Without `into` all elements are needed. Nobody holds elements of a weight that no window
        reaches.
        """
        holders: dict[str, list[Held]] = {}
        for name in sources:
            held = self.ledger.written(name)
            holders.setdefault(held.buffer.tensor, []).append(held)
        known = self._known(tensor, holders)
        if known is None:
            return
        missing = ~known
        if into is not None:
            needed = np.zeros(missing.shape, dtype=bool)
            mark(into.placed, needed)
            missing &= needed
        if missing.any():
            index = tuple(int(i) for i in np.argwhere(missing)[0])
            raise WrongError(f"no core holds {shown(tensor)}{list(index)}")

    def _known(self, tensor: str, holders: Mapping[str, list[Held]]) -> BoolArray | None:
        """Which elements of a tensor the holders have, themselves or as a view: None for all."""
        fact = self.tensor.get(tensor)
        if fact is None:
            raise WrongError(f"there is no tensor '{shown(tensor)}'")
        if 0 in fact.shape:
            return None
        own = holders.get(tensor, [])
        if any(self._complete(held) for held in own):
            return None
        marks = np.zeros(fact.shape, dtype=bool)
        for held in own:
            mark(held.placed, marks)
        if marks.all():
            return None
        rest = {name: found for name, found in holders.items() if name != tensor}
        view = self.views.get(tensor)
        if view is None or (own and not rest):
            return marks
        known = [self._known(name, rest) for name in view.inputs]
        shapes = [self.tensor[name].shape for name in (*view.inputs, tensor)]
        try:
            through = known_elements(view, known, shapes)
        except (ValueError, IndexError, TypeError):
            of = shown(", ".join(view.inputs))
            raise WrongError(f"'{shown(tensor)}' is no view of {of}") from None
        return None if through is None else marks | through

    def _complete(self, held: Held) -> bool:
        """Whether a buffer's pieces make up the whole tensor."""
        if held.complete is None:
            shape = self.tensor[held.buffer.tensor].shape
            key = held.placed.digest(shape)
            if key not in self._whole:
                marks = np.zeros(shape, dtype=bool)
                mark(held.placed, marks)
                self._whole[key] = bool(marks.all())
            held.complete = self._whole[key]
        return held.complete
