"""The store as commands use it: it saves time where it can, and never fails a command."""

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from t10c.cache.keys import Key
from t10c.cache.settings import CacheSettings
from t10c.cache.store import Store, StoreError

T = TypeVar("T")


class Cache:
    """Results by key. What cannot be read is missing, what cannot be written is not kept.

    `trouble` says why the store is not in use although it should be, and `damaged` counts entries
    that were found damaged: both are for the user to be told once, when the command is done.
    """

    def __init__(self, settings: CacheSettings) -> None:
        self.directory = settings.directory
        self.trouble = ""
        self.damaged = 0
        self._store: Store | None = None
        self._used: set[bytes] = set()
        self._hits: Counter[str] = Counter()
        self._misses: Counter[str] = Counter()
        if settings.directory is not None:
            try:
                self._store = Store(settings.directory, settings.limit_bytes)
            except StoreError as error:
                self._give_up(error)

    def __enter__(self) -> "Cache":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def in_use(self) -> bool:
        """Whether there is a store to be asked."""
        return self._store is not None

    def recall(self, key: Key, decode: Callable[[bytes], T]) -> T | None:
        """The value of a key, or None; an entry that `decode` refuses (ValueError) is dropped."""
        if self._store is None:
            return None
        value: T | None = None
        try:
            data, damaged = self._store.get(key.digest)
            if data is not None:
                try:
                    value = decode(data)
                except ValueError:
                    damaged = True
                    self._store.drop(key.digest)
            self.damaged += damaged
        except StoreError as error:
            self._give_up(error)
        if value is None:
            self._misses[key.kind] += 1
        else:
            self._hits[key.kind] += 1
            self._used.add(key.digest)
        return value

    def keep(self, *entries: tuple[Key, bytes]) -> None:
        """Keep values, all or none of them."""
        if self._store is None:
            return
        try:
            self._store.put([(key.digest, key.kind, value) for key, value in entries])
        except StoreError as error:
            self._give_up(error)

    def close(self) -> None:
        """Record what was of use, and let the file go."""
        if self._store is None:
            return
        kinds = sorted({*self._hits, *self._misses})
        try:
            if kinds:
                counts = {kind: (self._hits[kind], self._misses[kind]) for kind in kinds}
                self._store.note(sorted(self._used), counts)
            self._store.close()
        except StoreError as error:
            self._give_up(error)
        self._store = None

    def _give_up(self, error: StoreError) -> None:
        """Go on without the store, which one failure is enough for."""
        self._store = None
        self.trouble = f"the cache '{self.directory}' cannot be used: {error}"


def open_cache(settings: CacheSettings) -> Cache:
    """The cache of these settings, to be closed by the caller; it keeps nothing if that is off."""
    return Cache(settings)
