"""Operators of a graph while they are being rewritten: who produces and who reads each tensor."""

from collections.abc import Iterable, Sequence

from t10c.ir.graph import LayoutOp, Operator

AnyOperator = Operator | LayoutOp
Position = tuple[int, ...]


class Draft:
    """Operators by name, each at a position; positions order the result topologically.

    An operator that comes in later lies between two positions: `before(p)` and `after(p)`.
    """

    def __init__(self, operators: Sequence[AnyOperator], outputs: Iterable[str]) -> None:
        self._operators: dict[str, AnyOperator] = {}
        self._positions: dict[str, Position] = {}
        self._producer: dict[str, str] = {}
        self._users: dict[str, dict[str, None]] = {}
        self._outputs = frozenset(outputs)
        self._inserted = 0
        for index, operator in enumerate(operators):
            self.put(operator, (index, 1))

    def put(self, operator: AnyOperator, position: Position) -> None:
        """Add an operator, or replace the one of the same name."""
        if operator.name in self._operators:
            self.remove(operator.name)
        self._operators[operator.name] = operator
        self._positions[operator.name] = position
        self._producer[operator.output] = operator.name
        for tensor in operator.inputs:
            self._users.setdefault(tensor, {})[operator.name] = None

    def remove(self, name: str) -> None:
        """Take an operator out."""
        operator = self._operators.pop(name)
        del self._positions[name]
        if self._producer.get(operator.output) == name:
            del self._producer[operator.output]
        for tensor in set(operator.inputs):
            del self._users[tensor][name]

    def __contains__(self, name: str) -> bool:
        return name in self._operators

    def __getitem__(self, name: str) -> AnyOperator:
        return self._operators[name]

    def unused_name(self, wanted: str) -> str:
        """A name that no operator has: as wanted, or with a number."""
        name, count = wanted, 1
        while name in self:
            count += 1
            name = f"{wanted}.{count}"
        return name

    def position(self, name: str) -> Position:
        """Where the operator stands."""
        return self._positions[name]

    def before(self, name: str) -> Position:
        """A new position just before an operator, after earlier ones asked for."""
        self._inserted += 1
        return (*self._positions[name][:-1], 0, self._inserted, 1)

    def after(self, name: str) -> Position:
        """A new position just after an operator."""
        self._inserted += 1
        return (*self._positions[name], 2, self._inserted, 1)

    def producer(self, tensor: str) -> AnyOperator | None:
        """The operator whose output the tensor is."""
        name = self._producer.get(tensor)
        return None if name is None else self._operators[name]

    def users(self, tensor: str) -> tuple[str, ...]:
        """Names of the operators that read the tensor."""
        return tuple(self._users.get(tensor, ()))

    def is_output(self, tensor: str) -> bool:
        """Whether the tensor is an output of the graph."""
        return tensor in self._outputs

    def only_user(self, tensor: str) -> AnyOperator | None:
        """The one operator that reads the tensor; None if there are more or it is an output."""
        users = self._users.get(tensor, {})
        if len(users) != 1 or tensor in self._outputs:
            return None
        return self._operators[next(iter(users))]

    def names(self) -> list[str]:
        """Names of all operators in execution order."""
        return sorted(self._operators, key=self._positions.__getitem__)

    def operators(self) -> list[AnyOperator]:
        """All operators in execution order."""
        return [self._operators[name] for name in self.names()]
