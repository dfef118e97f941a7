"""Where work runs, and what a piece of work is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from t10c.errors import UsageError

T = TypeVar("T")
R = TypeVar("R")

ATTEMPTS = 3
"""Workers that may die over a piece of work before it is given up."""

_SCHEMES = {"dask": "tcp", "tcp": "tcp", "tls": "tls"}


@dataclass(frozen=True, slots=True)
class Place:
    """`jobs` processes of this machine (1: this process itself), or a Dask scheduler at `cluster`.

    UsageError for an address that is none, and for both.
    """

    jobs: int = 1
    cluster: str | None = None

    def __post_init__(self) -> None:
        if self.cluster is None:
            return
        if self.jobs != 1:
            raise UsageError(
                "--jobs and --cluster contradict each other: a cluster's scheduler decides how many"
                " workers there are\nleave out one of them"
            )
        scheme, _, rest = self.cluster.partition("://")
        host, _, port = rest.rpartition(":")
        if scheme not in _SCHEMES or not host or not port.isdecimal() or int(port) > 65535:
            raise UsageError(
                f"--cluster {self.cluster[:80]}: write dask://HOST:PORT, the address of a Dask"
                " scheduler (dask scheduler --port PORT starts one)"
            )

    @property
    def address(self) -> str:
        """The scheduler's address as Dask writes it."""
        assert self.cluster is not None, "a place on this machine has no address"
        scheme, _, rest = self.cluster.partition("://")
        return f"{_SCHEMES[scheme]}://{rest}"


HERE = Place()


@dataclass(frozen=True)
class Work(Generic[T, R]):
    """A function and the items to call it with; `names` say in errors what an item is."""

    function: Callable[[T], R]
    items: Sequence[T]
    names: Sequence[str]

    def __post_init__(self) -> None:
        assert len(self.items) == len(self.names), "every item has a name"


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception that a piece of work ended with."""

    error: Exception
