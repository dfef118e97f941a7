"""Caches with little in them, for the tests of the cache."""

import random
import sqlite3
from pathlib import Path

from t10c.cache.cache import Cache
from t10c.cache.keys import Key, key_of
from t10c.cache.settings import CacheSettings
from t10c.cache.store import FILE_NAME

MIB = 1 << 20


def key(name: str, kind: str = "kind") -> Key:
    return key_of(kind, {"name": name})


def text(data: bytes) -> str:
    return data.decode()


def cache_in(directory: Path, limit_bytes: int = MIB) -> Cache:
    return Cache(CacheSettings(directory, limit_bytes))


def noise(number: int, size: int = 10_000) -> bytes:
    """Bytes that cannot be compressed."""
    return random.Random(number).randbytes(size)


def sql(directory: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(directory / FILE_NAME, isolation_level=None)
    found = connection.execute(statement, values).fetchall()
    connection.close()
    return found
