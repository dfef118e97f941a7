"""The store: what is kept is found, or missing, and never wrong."""

import multiprocessing
from pathlib import Path

import pytest
from stores import cache_in, key, noise, sql, text

from t10c.cache.cache import Cache
from t10c.cache.keys import fingerprint, key_of
from t10c.cache.manage import cache_usage, clear_cache
from t10c.cache.settings import CacheSettings
from t10c.cache.store import FILE_NAME, Store


def test_what_is_kept_is_found_by_others(tmp_path):
    with cache_in(tmp_path / "a" / "b") as first:
        assert first.recall(key("x"), text) is None
        first.keep((key("x"), b"value"), (key("y"), b""))
    with cache_in(tmp_path / "a" / "b") as second:
        assert second.recall(key("x"), text) == "value"
        assert second.recall(key("y"), text) == ""
        assert second.recall(key("x", "other"), text) is None
        assert not second.trouble
        assert not second.damaged
    (kind, other) = cache_usage(CacheSettings(tmp_path / "a" / "b")).kinds
    assert (kind.kind, kind.entries, kind.hits, kind.misses) == ("kind", 2, 2, 1)
    assert (other.kind, other.entries, other.hits, other.misses) == ("other", 0, 0, 1)


def test_the_order_of_what_decides_does_not_matter():
    assert key_of("a", {"x": 1, "y": {"p": 2, "q": 3}}) == key_of(
        "a", {"y": {"q": 3, "p": 2}, "x": 1}
    )
    assert key_of("a", {"x": 1}) != key_of("a", {"x": 1.5})
    assert key_of("a", {"x": 1}) != key_of("b", {"x": 1})
    assert key_of("a", {"x": [1, 2]}) != key_of("a", {"x": [2, 1]})


def test_other_code_has_other_keys(tmp_path):
    (tmp_path / "search").mkdir()
    module_file = tmp_path / "search" / "cost.py"
    module_file.write_text("PRICE = 1\n")
    first = fingerprint(tmp_path, "1.0")
    assert fingerprint(tmp_path, "1.0") == first
    (tmp_path / "search" / "cost.pyc").write_bytes(b"x")
    assert fingerprint(tmp_path, "1.0") == first
    found = {first, fingerprint(tmp_path, "1.1")}
    module_file.write_text("PRICE = 2\n")
    found.add(fingerprint(tmp_path, "1.0"))
    module_file.rename(tmp_path / "cost.py")
    found.add(fingerprint(tmp_path, "1.0"))
    (tmp_path / "new.py").write_text("")
    found.add(fingerprint(tmp_path, "1.0"))
    assert len(found) == 5


@pytest.mark.parametrize("place", ["start", "checksum", "end", "cut", "empty", "type"])
def test_a_damaged_entry_is_dropped_and_counted(tmp_path, place):
    with cache_in(tmp_path) as cache:
        cache.keep((key("x"), noise(1)), (key("y"), b"whole"))
    ((found,),) = sql(tmp_path, "SELECT value FROM entries WHERE key = ?", key("x").digest)
    changed = {
        "start": found[:40] + bytes([found[40] ^ 1]) + found[41:],
        "checksum": bytes([found[0] ^ 128]) + found[1:],
        "end": found[:-1] + bytes([found[-1] ^ 1]),
        "cut": found[: len(found) // 2],
        "empty": b"",
        "type": "text",
    }[place]
    sql(tmp_path, "UPDATE entries SET value = ? WHERE key = ?", changed, key("x").digest)
    with cache_in(tmp_path) as cache:
        assert cache.recall(key("x"), bytes) is None
        assert cache.recall(key("y"), bytes) == b"whole"
        assert cache.damaged == 1
        assert not cache.trouble
        cache.keep((key("x"), b"anew"))
        assert cache.recall(key("x"), bytes) == b"anew"
        assert cache.damaged == 1


def test_the_value_of_another_key_is_damaged(tmp_path):
    with cache_in(tmp_path) as cache:
        cache.keep((key("x"), b"of x"), (key("y"), b"of y"))
    ((found,),) = sql(tmp_path, "SELECT value FROM entries WHERE key = ?", key("x").digest)
    sql(tmp_path, "UPDATE entries SET value = ? WHERE key = ?", found, key("y").digest)
    with cache_in(tmp_path) as cache:
        assert cache.recall(key("y"), bytes) is None
        assert cache.damaged == 1


def test_an_entry_that_cannot_be_decoded_is_dropped(tmp_path):
    with cache_in(tmp_path) as cache:
        cache.keep((key("x"), b"\xff"))
        assert cache.recall(key("x"), text) is None
        assert cache.damaged == 1
        assert cache.recall(key("x"), bytes) is None
        assert cache.damaged == 1


def test_the_least_recently_used_entries_are_evicted(tmp_path):
    with cache_in(tmp_path, 100_000) as cache:
        for number in range(9):
            cache.keep((key(str(number)), noise(number)))
    with cache_in(tmp_path, 100_000) as cache:
        assert cache.recall(key("0"), bytes) == noise(0)
    with cache_in(tmp_path, 100_000) as cache:
        for number in range(9, 12):
            cache.keep((key(str(number)), noise(number)))
        kept = {n for n in range(12) if cache.recall(key(str(n)), bytes) is not None}
    assert {0, 9, 10, 11} <= kept
    assert not {1, 2} & kept
    usage = cache_usage(CacheSettings(tmp_path, 100_000))
    assert usage.size_bytes <= 100_000


def test_the_file_is_bounded_too(tmp_path):
    with cache_in(tmp_path, 200_000) as cache:
        for number in range(100):
            cache.keep((key(str(number)), noise(number)))
    usage = cache_usage(CacheSettings(tmp_path, 200_000))
    assert 100_000 < usage.size_bytes <= 200_000
    assert (tmp_path / FILE_NAME).stat().st_size < 400_000
    with cache_in(tmp_path, 50_000) as cache:  # a smaller limit takes effect with the next entry
        cache.keep((key("more"), noise(1)))
        assert cache.recall(key("more"), bytes) is not None
    assert cache_usage(CacheSettings(tmp_path, 50_000)).size_bytes <= 50_000
    assert (tmp_path / FILE_NAME).stat().st_size < 150_000


def test_what_is_larger_than_the_limit_is_not_kept(tmp_path):
    with cache_in(tmp_path, 50_000) as cache:
        cache.keep((key("small"), noise(1)))
        cache.keep((key("large"), noise(2, 60_000)))
        assert cache.recall(key("large"), bytes) is None
        assert cache.recall(key("small"), bytes) is not None


def test_entries_are_kept_together_or_not_at_all(tmp_path, monkeypatch):
    def interrupted(self: Store) -> None:
        raise KeyboardInterrupt

    with cache_in(tmp_path) as cache:
        cache.keep((key("before"), b"1"))
        monkeypatch.setattr(Store, "_evict", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cache.keep((key("x"), b"2"), (key("y"), b"3"))
        assert cache.recall(key("x"), bytes) is None
        assert cache.recall(key("before"), bytes) == b"1"


def test_without_a_directory_nothing_is_kept():
    with Cache(CacheSettings(None)) as cache:
        assert not cache.in_use
        cache.keep((key("x"), b"1"))
        assert cache.recall(key("x"), bytes) is None
        assert not cache.trouble
    assert cache_usage(CacheSettings(None)) is None
    assert clear_cache(CacheSettings(None)) == 0


def test_clearing_does_not_disturb_a_command_that_is_running(tmp_path):
    with cache_in(tmp_path) as cache:
        cache.keep((key("x"), noise(1)))
        assert clear_cache(CacheSettings(tmp_path)) == 1
        assert cache.recall(key("x"), bytes) is None
        cache.keep((key("y"), b"2"))
        assert cache.recall(key("y"), bytes) == b"2"
    assert not cache.trouble
    usage = cache_usage(CacheSettings(tmp_path))
    assert usage.entries == 1
    assert usage.file_bytes < 200_000


def _churn(directory: str, seed: int, rounds: int) -> str:
    """Keep and recall in a small store that evicts all the time; says what went wrong."""
    for round_number in range(rounds):
        with cache_in(Path(directory), 60_000) as cache:
            for number in range(8):
                cache.keep((key(str(number)), noise(number, 9_000)))
                other = (number * seed + round_number) % 8
                found = cache.recall(key(str(other)), bytes)
                if found is not None and found != noise(other, 9_000):
                    return "a wrong value"
            if seed == 3 and round_number % 3 == 0:
                clear_cache(CacheSettings(Path(directory)))
        if cache.trouble or cache.damaged:
            return cache.trouble or "damaged"
    return ""


def test_processes_share_a_store_that_evicts_and_is_cleared(tmp_path):
    context = multiprocessing.get_context("spawn")
    directory = tmp_path / "made by whoever comes first"
    with context.Pool(3) as pool:
        jobs = [pool.apply_async(_churn, (str(directory), seed, 10)) for seed in (1, 2, 3)]
        assert [job.get(timeout=120) for job in jobs] == ["", "", ""]
    assert cache_usage(CacheSettings(directory, 60_000)).size_bytes <= 60_000
