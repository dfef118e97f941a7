"""The store as users look after it: what is in it, and emptying it."""

from dataclasses import dataclass
from pathlib import Path

from t10c.cache.settings import CacheSettings
from t10c.cache.store import FILE_NAME, KindUsage, Store, StoreError, remove_store
from t10c.errors import FileAccessError


@dataclass(frozen=True, slots=True)
class CacheUsage:
    """Entries by kind; `path` is the store's file, `file_bytes` all it takes on disk.

    The file is made by the first command that plans; until then there are no kinds and no bytes.
    """

    path: Path
    limit_bytes: int
    file_bytes: int
    kinds: tuple[KindUsage, ...]

    @property
    def entries(self) -> int:
        """Number of entries."""
        return sum(kind.entries for kind in self.kinds)

    @property
    def size_bytes(self) -> int:
        """Bytes of all entries, compressed."""
        return sum(kind.size_bytes for kind in self.kinds)


def cache_usage(settings: CacheSettings) -> CacheUsage | None:
    """What the store holds, None if it is off; FileAccessError if it cannot be read."""
    if settings.directory is None:
        return None
    path = settings.directory / FILE_NAME
    if not _exists(path):
        return CacheUsage(path, settings.limit_bytes, 0, ())
    try:
        store = Store(settings.directory, settings.limit_bytes)
        kinds = store.usage()
        store.close()
    except StoreError as error:
        raise FileAccessError(
            f"cannot read the cache '{path}': {error}\n"
            "t10c cache clear makes a new one of a damaged or older one; --cache names another"
        ) from error
    return CacheUsage(path, settings.limit_bytes, _file_bytes(path), kinds)


def clear_cache(settings: CacheSettings) -> int:
    """Empty the store and return the number of entries it had; FileAccessError if that fails.

    A store that cannot be opened, damaged or of another schema version, is deleted.
    """
    if settings.directory is None or not _exists(settings.directory / FILE_NAME):
        return 0
    try:
        try:
            store = Store(settings.directory, settings.limit_bytes)
            count = store.clear()
            store.close()
        except StoreError as error:
            if error.busy:
                raise
            count = 0
            remove_store(settings.directory)
    except StoreError as error:
        raise FileAccessError(
            f"cannot clear the cache '{settings.directory / FILE_NAME}': {error}"
        ) from error
    return count


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return True  # let opening it say what is wrong


def _file_bytes(path: Path) -> int:
    """Bytes on disk, the log of what was written last included."""
    files = (path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm"))
    return sum(file.stat().st_size for file in files if file.exists())
