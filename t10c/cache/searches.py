"""Searches of operators, found again: what a schedule may choose from, and fronts."""

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any, TypeVar

from t10c.cache.cache import Cache
from t10c.cache.codec import CodecError, from_bytes, to_bytes
from t10c.cache.keys import Key, key_of
from t10c.hardware.document import spec_hash
from t10c.hardware.spec import HardwareSpec
from t10c.ir.expression import TensorExpression
from t10c.schedule.choices import Choices, find_choices
from t10c.schedule.problem import Problem, problem_search
from t10c.search.operator import SearchResult, search_operator
from t10c.search.options import SearchOptions

T = TypeVar("T")

Arrival = Callable[[int, Choices], None]
"""Told of choices as soon as they are found, with the number of their problem."""

Searching = Callable[[list[Problem], Arrival], list[Choices]]
"""Searches problems; their choices, in order."""


class CachedSearches:
    """Searches for one chip with the same options, each made once.

    One that was stopped is not kept, since it may come further the next time.
    """

    def __init__(
        self,
        cache: Cache,
        spec: HardwareSpec,
        search: SearchOptions,
        uniform: bool = False,
        joint: bool = False,
    ) -> None:
        self._cache = cache
        self._spec = spec
        self._search = search
        self._uniform = uniform
        self._joint = joint
        self._spec_hash = spec_hash(spec) if cache.in_use else ""

    def choices(self, problems: list[Problem], search: Searching) -> list[Choices]:
        """The choices of the problems in order; `search` gets those that are not known yet."""
        keys = [self._choices_key(problem) for problem in problems]
        known = [self._recall(key, p) for key, p in zip(keys, problems, strict=True)]
        missing = [index for index, found in enumerate(known) if found is None]

        def keep(number: int, found: Choices) -> None:
            self._keep(keys[missing[number]], Choices, found, found.search)

        fresh = search([problems[index] for index in missing], keep) if missing else []
        searched = dict(zip(missing, fresh, strict=True))
        return [searched[index] if found is None else found for index, found in enumerate(known)]

    def search(self, problems: list[Problem]) -> list[Choices]:
        """The same, those that are not known searched here and in turn."""

        def searching(missing: list[Problem], arrived: Arrival) -> list[Choices]:
            made = []
            for number, problem in enumerate(missing):
                found = find_choices(problem, self._spec, self._search, self._uniform, self._joint)
                arrived(number, found)
                made.append(found)
            return made

        return self.choices(problems, searching)

    def operator_front(self, expression: TensorExpression) -> SearchResult:
        """What `search_operator` finds."""
        return self._front(expression, self._search)

    def problem_front(self, expression: TensorExpression) -> SearchResult:
        """What `search_problem` finds."""
        return self._front(expression, problem_search(expression, self._spec, self._search))

    def _front(self, expression: TensorExpression, search: SearchOptions) -> SearchResult:
        key = self._key("front", search, expression=_text(TensorExpression, expression))
        known = self._cache.recall(key, partial(from_bytes, SearchResult))
        if known is not None:
            return _recalled(known)
        made = search_operator(expression, self._spec, search)
        self._keep(key, SearchResult, made, made)
        return made

    def _keep(self, key: Key, cls: type[T], value: T, search: SearchResult) -> None:
        """Keep a value, unless its search ended early by anything but the number of candidates."""
        record = search.record
        complete = record.exhausted or record.legal_plans >= self._search.max_candidates
        if complete and self._cache.in_use:
            self._cache.keep((key, to_bytes(cls, value)))

    def _recall(self, key: Key, problem: Problem) -> Choices | None:
        def decode(data: bytes) -> Choices:
            choices = from_bytes(Choices, data)
            if choices.problem != problem:
                raise CodecError("choices of another problem")
            return replace(choices, problem=problem, search=_recalled(choices.search))

        return self._cache.recall(key, decode)

    def _choices_key(self, problem: Problem) -> Key:
        text = _text(Problem, problem)
        asked = {"uniform": self._uniform, "joint": self._joint}
        return self._key("choices", self._search, problem=text, **asked)

    def _key(self, kind: str, search: SearchOptions, **parts: Any) -> Key:
        return key_of(kind, {"spec": self._spec_hash, "search": asdict(search), **parts})


def _text(cls: type, value: object) -> str:
    """A value as part of a key: exactly what it is, the order of its parts included."""
    return to_bytes(cls, value).decode()


def _recalled(result: SearchResult) -> SearchResult:
    """The result, which has taken no time and says where it comes from."""
    return replace(result, cpu_seconds=0.0, recalled=True)
