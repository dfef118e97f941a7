"""Run pieces of work somewhere: results in order, and each reported as it comes."""

import contextlib
from collections.abc import Callable, Generator, Sequence

from t10c.jobs.place import HERE, Failure, Place, R, T, Work


def run_jobs(
    function: Callable[[T], R],
    items: Sequence[T],
    names: Sequence[str],
    place: Place = HERE,
    arrived: Callable[[int, R], None] = lambda index, result: None,
) -> list[R]:
    """What `function` makes of every item, in the order of the items, wherever that happens.

    `arrived` gets every result with its item's number as soon as it is there, in this thread.
    `function` must be importable by name, or a partial of such a one. Work that is lost with its
    worker is done again, up to three times in all. The first item, by order, whose work raises an
    exception decides which one is raised here; whatever ends this function also ends the work.
    """
    found: dict[int, R] = {}
    failed: dict[int, Exception] = {}
    with contextlib.closing(_outcomes(Work(function, items, names), place)) as outcomes:
        for index, outcome in outcomes:
            if isinstance(outcome, Failure):
                failed[index] = outcome.error
            else:
                found[index] = outcome
                arrived(index, outcome)
            first = min(failed, default=None)
            if first is not None and all(number in found for number in range(first)):
                raise failed[first]
    return [found[index] for index in range(len(items))]


def _outcomes(work: Work[T, R], place: Place) -> Generator[tuple[int, R | Failure], None, None]:
    """Results and failures with the numbers of their items, in the order in which they come."""
    if place.cluster is not None and work.items:
        from t10c.jobs.cluster import on_cluster

        return on_cluster(work, place.address)
    if place.jobs > 1 and len(work.items) > 1:
        from t10c.jobs.processes import in_processes

        return in_processes(work, place.jobs)
    return _in_this_process(work)


def _in_this_process(work: Work[T, R]) -> Generator[tuple[int, R | Failure], None, None]:
    for index, item in enumerate(work.items):
        yield index, work.function(item)
