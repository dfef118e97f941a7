"""Entries in an SQLite file: what a process kept, others find, whatever becomes of either.

Every change is one transaction of a write-ahead log, so that a process that is killed leaves the
state before it or after it. An entry carries a checksum over its key and its compressed value, and
one that does not agree with it is dropped. The entries used least recently make room for new ones.
"""

import hashlib
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = "store.sqlite"
SCHEMA_VERSION = 1
APPLICATION_ID = 0x74313063
"""`t10c` in the file's header: what tells a store from the databases of others."""

_PATIENCE_SECONDS = 20.0
_ROOM = 0.9
"""Share of the limit that is kept when entries are evicted, so that not every entry evicts."""
_CHECKSUM_BYTES = 32
_COMPRESSION = 1

_SCHEMA = (
    "CREATE TABLE entries (key BLOB PRIMARY KEY, kind TEXT NOT NULL, size INTEGER NOT NULL,"
    " used INTEGER NOT NULL, value BLOB NOT NULL)",
    "CREATE INDEX by_use ON entries (used, size)",
    "CREATE TABLE counts (kind TEXT PRIMARY KEY, hits INTEGER NOT NULL, misses INTEGER NOT NULL)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


class StoreError(Exception):
    """A store that cannot be used: the message says why; `busy` if another process holds it."""

    def __init__(self, message: str, busy: bool = False) -> None:
        super().__init__(message)
        self.busy = busy


@dataclass(frozen=True, slots=True)
class KindUsage:
    """Entries of one kind, their bytes in the store, and how often one was sought and found."""

    kind: str
    entries: int
    size_bytes: int
    hits: int
    misses: int


class Store:
    """The entries of one directory. Methods raise StoreError where the file cannot serve."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        """Open the store of `directory`, making both if need be."""
        self.path = directory / FILE_NAME
        self.limit_bytes = limit_bytes
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise StoreError(_reason(error)) from error
        with _told():
            self._connection = sqlite3.connect(
                self.path, timeout=_PATIENCE_SECONDS, isolation_level=None
            )
        try:
            with _told():
                _patiently(self._prepare)
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        connection = self._connection
        if not _pragma(connection, "user_version") and not _pragma(connection, "page_count"):
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            with self._transaction():
                if not _pragma(connection, "user_version"):
                    for statement in _SCHEMA:
                        connection.execute(statement)
        if _pragma(connection, "application_id") != APPLICATION_ID:
            # made by another process since, or a database of something else
            if not _pragma(connection, "user_version") and not _tables(connection):
                raise sqlite3.OperationalError("database is locked: it is being made")
            raise StoreError("it is a database of something else")
        version = _pragma(connection, "user_version")
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"it is of schema version {version}, this t10c uses {SCHEMA_VERSION};"
                " t10c cache clear makes a new one"
            )
        connection.execute("PRAGMA synchronous = NORMAL")

    def get(self, key: bytes) -> tuple[bytes | None, bool]:
        """The value of a key, or None; and whether there was one that is damaged, now dropped."""
        with _told():
            row = self._connection.execute(
                "SELECT value FROM entries WHERE key = ?", (key,)
            ).fetchone()
            if row is None:
                return None, False
            value = _opened(key, row[0])
            if value is None:
                self.drop(key)
            return value, value is None

    def put(self, entries: Iterable[tuple[bytes, str, bytes]]) -> None:
        """Keep values, as (key, kind, value), all or none; evict what is too much for the limit.

        A value that alone is larger than the room is not kept.
        """
        sealed = [(key, kind, _sealed(key, value)) for key, kind, value in entries]
        if sum(len(value) for _, _, value in sealed) > self.limit_bytes * _ROOM:
            return
        with _told(), self._transaction():
            now = self._now()
            self._connection.executemany(
                "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)",
                [(key, kind, len(value), now, value) for key, kind, value in sealed],
            )
            evicted = self._evict()
        if evicted:
            self._shrink()

    def drop(self, key: bytes) -> None:
        """Forget a key."""
        with _told():
            self._connection.execute("DELETE FROM entries WHERE key = ?", (key,))

    def note(self, used: Iterable[bytes], counts: dict[str, tuple[int, int]]) -> None:
        """Record that these keys were of use, and (hits, misses) by kind."""
        with _told(), self._transaction():
            now = self._now()
            self._connection.executemany(
                "UPDATE entries SET used = ? WHERE key = ?", [(now, key) for key in used]
            )
            self._connection.executemany(
                "INSERT INTO counts VALUES (?, ?, ?) ON CONFLICT (kind) DO UPDATE SET"
                " hits = hits + excluded.hits, misses = misses + excluded.misses",
                [(kind, hits, misses) for kind, (hits, misses) in counts.items()],
            )

    def usage(self) -> tuple[KindUsage, ...]:
        """What is kept and how it was used, by kind."""
        with _told():
            rows = self._connection.execute(
                "SELECT kind, SUM(n), SUM(size), SUM(hits), SUM(misses) FROM ("
                " SELECT kind, COUNT(*) n, SUM(size) size, 0 hits, 0 misses FROM entries"
                " GROUP BY kind UNION ALL SELECT kind, 0, 0, hits, misses FROM counts"
                ") GROUP BY kind ORDER BY kind"
            ).fetchall()
        return tuple(KindUsage(*row) for row in rows)

    def clear(self) -> int:
        """Drop every entry and all counts, and give the space back; returns how many there were."""
        with _told():
            with self._transaction():
                count = self._connection.execute("DELETE FROM entries").rowcount
                self._connection.execute("DELETE FROM counts")
            self._shrink()
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return int(count)

    def close(self) -> None:
        """Close the file."""
        with _told():
            self._connection.close()

    def _now(self) -> int:
        """A number above that of every use so far: of clocks, machines have several."""
        (last,) = self._connection.execute("SELECT MAX(used) FROM entries").fetchone()
        return (last or 0) + 1

    def _evict(self) -> int:
        """Drop entries, least recently used first, down to the share of the limit that is kept.

        Returns how many were dropped.
        """
        (size,) = self._connection.execute("SELECT SUM(size) FROM entries").fetchone()
        if size <= self.limit_bytes:
            return 0
        doomed = []
        rows = self._connection.execute("SELECT rowid, size FROM entries ORDER BY used, size, key")
        for row, entry_bytes in rows.fetchall():
            if size <= self.limit_bytes * _ROOM:
                break
            size -= entry_bytes
            doomed.append((row,))
        self._connection.executemany("DELETE FROM entries WHERE rowid = ?", doomed)
        return len(doomed)

    def _shrink(self) -> None:
        """Give free pages back to the file system; not within a transaction."""
        with _told():
            # execute() would free a single page: the statement yields no rows to step through
            self._connection.executescript("PRAGMA incremental_vacuum")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, also if an interrupt arrives in the middle."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


def remove_store(directory: Path) -> None:
    """Delete the file of a store that cannot be opened, if it is one of t10c's; else StoreError."""
    path = directory / FILE_NAME
    try:
        with path.open("rb") as file:
            header = file.read(72)
        own = header[:15] == b"SQLite format 3" and header[68:] == APPLICATION_ID.to_bytes(4)
        if not own and header:
            raise StoreError("it is no store of t10c's; remove it yourself")
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(_reason(error)) from error


def _sealed(key: bytes, value: bytes) -> bytes:
    """A value as it is stored: a checksum that covers its key too, and the compressed bytes."""
    packed = zlib.compress(value, _COMPRESSION)
    return hashlib.sha256(key + packed).digest() + packed


def _opened(key: bytes, stored: object) -> bytes | None:
    """The value that was sealed for the key, None if these bytes are not that."""
    if not isinstance(stored, bytes):
        return None
    checksum, packed = stored[:_CHECKSUM_BYTES], stored[_CHECKSUM_BYTES:]
    if hashlib.sha256(key + packed).digest() != checksum:
        return None
    return zlib.decompress(packed)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _tables(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()[0])


def _patiently(prepare: Callable[[], None]) -> None:
    """Try again while another process makes the file: SQLite's own patience does not cover that."""
    begun = time.monotonic()
    while True:
        try:
            return prepare()
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() - begun > _PATIENCE_SECONDS:
                raise
            time.sleep(0.01)


@contextmanager
def _told() -> Iterator[None]:
    """What SQLite and the system refuse, as StoreError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(_reason(error), _is_busy(error)) from error


def _is_busy(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
