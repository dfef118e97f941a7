"""Stores that cannot be used cost a warning, and settings that are wrong say what is right."""

import re
import sqlite3
from pathlib import Path

import pytest
from stores import MIB, cache_in, key, noise, sql

from t10c.cache import store as module
from t10c.cache.manage import clear_cache
from t10c.cache.settings import CacheSettings, cache_settings
from t10c.cache.store import APPLICATION_ID, FILE_NAME, Store, StoreError
from t10c.errors import FileAccessError, UsageError


def other_version(directory: Path) -> None:
    cache_in(directory).close()
    sql(directory, "PRAGMA user_version = 99")


def foreign(directory: Path) -> None:
    sql(directory, "CREATE TABLE t (x)")


def not_a_database(directory: Path) -> None:
    (directory / FILE_NAME).write_bytes(b"hello, this is text" * 400)


def cut_short(directory: Path) -> None:
    with cache_in(directory) as cache:
        for number in range(40):
            cache.keep((key(str(number)), noise(number)))
    path = directory / FILE_NAME
    path.write_bytes(path.read_bytes()[:9000])


def overwritten(directory: Path) -> None:
    with cache_in(directory) as cache:
        for number in range(40):
            cache.keep((key(str(number)), noise(number)))
    path = directory / FILE_NAME
    data = path.read_bytes()
    path.write_bytes(data[:100] + noise(1, len(data) - 100))


def a_directory(directory: Path) -> None:
    (directory / FILE_NAME).mkdir()


UNUSABLE = {
    "schema version 99": other_version,
    "something else": foreign,
    "not a database": not_a_database,
    "malformed": cut_short,
    "malformed|corrupt|file is": overwritten,
    "unable to open": a_directory,
}


@pytest.mark.parametrize("reason", UNUSABLE)
def test_an_unusable_store_costs_a_warning_and_nothing_else(tmp_path, reason):
    UNUSABLE[reason](tmp_path)
    with cache_in(tmp_path) as cache:
        for number in range(40):
            value = cache.recall(key(str(number)), bytes)
            assert value is None or value == noise(number)
        for number in range(40, 45):
            cache.keep((key(str(number)), noise(number)))
    assert str(tmp_path) in cache.trouble
    assert re.search(reason, cache.trouble), cache.trouble
    assert len(cache.trouble.splitlines()) == 1


@pytest.mark.parametrize("damage", [other_version, cut_short, overwritten])
def test_clearing_makes_a_new_store_of_an_unusable_one(tmp_path, damage):
    damage(tmp_path)
    clear_cache(CacheSettings(tmp_path))
    with cache_in(tmp_path) as cache:
        cache.keep((key("x"), b"1"))
        assert cache.recall(key("x"), bytes) == b"1"
        assert not cache.trouble


@pytest.mark.parametrize("other", [foreign, not_a_database])
def test_what_is_no_store_is_not_deleted(tmp_path, other):
    other(tmp_path)
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(FileAccessError, match="no store of t10c's"):
        clear_cache(CacheSettings(tmp_path))
    assert (tmp_path / FILE_NAME).read_bytes() == before


@pytest.mark.parametrize("place", ["/proc/t10c", "/dev/null", "/dev/null/below", "file", "x" * 300])
def test_a_directory_that_cannot_be_written_costs_a_warning(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    with cache_in(Path(place)) as cache:
        cache.keep((key("x"), b"1"))
        assert cache.recall(key("x"), bytes) is None
    assert f"the cache '{place}' cannot be used" in cache.trouble


def test_a_store_that_is_held_is_not_waited_for_forever(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.05)
    with cache_in(tmp_path) as first:
        first.keep((key("x"), b"1"))
    holder = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with cache_in(tmp_path) as cache:
        assert cache.recall(key("x"), bytes) == b"1"  # readers do not wait
        cache.keep((key("y"), b"2"))
        assert "locked" in cache.trouble
    with pytest.raises(FileAccessError, match="locked"):
        clear_cache(CacheSettings(tmp_path))
    holder.execute("ROLLBACK")
    holder.close()
    with cache_in(tmp_path) as cache:
        assert cache.recall(key("x"), bytes) == b"1"


def test_a_full_disk_costs_a_warning(tmp_path):
    with cache_in(tmp_path) as cache:
        cache.keep((key("x"), b"1"))
        assert cache._store is not None
        cache._store._connection.execute("PRAGMA max_page_count = 10")
        cache.keep((key("y"), noise(1, 100_000)))
        assert "full" in cache.trouble
        assert cache.recall(key("y"), bytes) is None
    with cache_in(tmp_path) as cache:
        assert cache.recall(key("x"), bytes) == b"1"


def test_the_mark_in_the_header_is_readable(tmp_path):
    Store(tmp_path, MIB).close()
    assert (tmp_path / FILE_NAME).read_bytes()[68:72] == b"t10c" == APPLICATION_ID.to_bytes(4)


def test_a_store_error_is_raised_by_the_store_itself(tmp_path):
    foreign(tmp_path)
    with pytest.raises(StoreError, match="something else"):
        Store(tmp_path, MIB)


# Settings


def test_the_option_is_before_the_variable_and_that_before_the_users_directory(tmp_path):
    there = {"T10C_CACHE": "/there"}
    assert cache_settings("here", there).directory == Path("here")
    assert cache_settings(None, there).directory == Path("/there")
    assert cache_settings("off", there).directory is None
    assert cache_settings(None, {"T10C_CACHE": "off"}).directory is None
    assert cache_settings(None, {}).limit_bytes == 512 * MIB
    assert cache_settings(None, {"T10C_CACHE_SIZE": "2MiB"}).limit_bytes == 2 * MIB


def test_the_users_directory_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for empty in ({}, {"T10C_CACHE": "", "T10C_CACHE_SIZE": ""}):
        assert cache_settings(None, empty).directory == tmp_path / "t10c"


@pytest.mark.parametrize(
    ("place", "environment", "said"),
    [
        ("", {}, "--cache is empty: write a directory, or off"),
        ("on", {}, "--cache on: write a directory, or off"),
        ("None", {}, "--cache None: write a directory, or off"),
        ("OFF", {}, "--cache OFF: write a directory, or off"),
        (None, {"T10C_CACHE": "false"}, "T10C_CACHE false: write a directory, or off"),
        (None, {"T10C_CACHE_SIZE": "large"}, "T10C_CACHE_SIZE: 'large' is not a size"),
        (None, {"T10C_CACHE_SIZE": "512"}, "write a size like 624KiB"),
        (None, {"T10C_CACHE_SIZE": "0B"}, "at least 1B"),
        ("off", {"T10C_CACHE_SIZE": "-1MiB"}, "at least 1B"),
    ],
)
def test_settings_that_are_wrong_say_what_is_right(place, environment, said):
    with pytest.raises(UsageError) as caught:
        cache_settings(place, environment)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3
