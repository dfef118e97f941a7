"""Work in this process and in several: order, errors, processes that die."""

import pickle

import job_work
import pytest

from t10c.errors import ClusterError, T10cError, UnsupportedOperatorError, UsageError
from t10c.jobs import Place, run_jobs
from t10c.jobs.identity import differences, identity

NAMES = [f"item {number}" for number in range(8)]
HERE, TWO = Place(), Place(jobs=2)


@pytest.mark.parametrize("place", [HERE, TWO], ids=["here", "two"])
def test_results_are_in_order_and_arrive_one_by_one(place):
    arrived = {}
    found = run_jobs(job_work.square, range(8), NAMES, place, arrived.__setitem__)
    assert found == [number**2 for number in range(8)]
    assert arrived == dict(enumerate(found))


def test_results_are_in_order_if_the_first_comes_last():
    order = []
    found = run_jobs(
        job_work.later_first, range(8), NAMES, TWO, lambda index, result: order.append(index)
    )
    assert found == list(range(8))
    assert order[-1] == 0, "other results arrive meanwhile"


def test_no_work_is_no_work():
    assert run_jobs(job_work.square, [], [], TWO) == []


@pytest.mark.parametrize("place", [HERE, TWO], ids=["here", "two"])
def test_errors_keep_class_and_text_and_the_first_item_decides(place):
    arrived = []
    with pytest.raises(UnsupportedOperatorError) as caught:
        run_jobs(job_work.refused, range(8), NAMES, place, lambda i, result: arrived.append(i))
    assert str(caught.value) == "no operator 1\nchoose another"
    assert caught.value.nodes == (("n", "Op"),)
    assert arrived == [0]


@pytest.mark.parametrize("place", [HERE, TWO], ids=["here", "two"])
def test_bugs_keep_their_notes(place):
    with pytest.raises(ZeroDivisionError) as caught:
        run_jobs(job_work.wrong, range(8), NAMES, place)
    assert caught.value.__notes__ == ["while at 0"]


def test_work_of_a_process_that_dies_is_done_again(tmp_path):
    items = [(number, tmp_path / "mark") for number in range(8)]
    arrived = []
    found = run_jobs(
        job_work.deadly_once, items, NAMES, TWO, lambda index, result: arrived.append(index)
    )
    assert found == [number**2 for number in range(8)]
    assert sorted(arrived) == list(range(8)), "each result arrives once"
    assert (tmp_path / "mark").exists()


def test_an_item_that_always_kills_its_process_is_named():
    arrived = []
    with pytest.raises(T10cError, match=r"^item 1: its process was killed 3 times") as caught:
        run_jobs(job_work.deadly, range(8), NAMES, TWO, lambda index, result: arrived.append(index))
    assert caught.value.exit_code == 1
    assert "--jobs" in str(caught.value)


@pytest.mark.parametrize("error", [ClusterError("a"), UnsupportedOperatorError("b", (("c", "d"),))])
def test_errors_travel(error):
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is type(error)
    assert found.args == error.args
    assert vars(found) == vars(error)


@pytest.mark.parametrize(
    "address",
    ["", "host", "host:1", "http://host:1", "dask://host", "dask://:1", "dask://h:x", "tcp://h:"],
)
def test_addresses_that_are_none(address):
    with pytest.raises(UsageError, match="write dask://HOST:PORT"):
        Place(cluster=address)


def test_addresses():
    assert Place(cluster="dask://a.b:8786").address == "tcp://a.b:8786"
    assert Place(cluster="tcp://[::1]:8786").address == "tcp://[::1]:8786"
    assert Place(cluster="tls://a:1").address == "tls://a:1"
    with pytest.raises(UsageError, match="contradict"):
        Place(jobs=2, cluster="dask://a:1")


def test_identities_differ_by_program():
    here = identity()
    assert [name for name, _ in here] == ["Python", "numpy", "t10c"]
    assert differences(here, here) == []
    there = (here[0], ("numpy", "1.0"), here[2])
    assert differences(here, there) == [("numpy", here[1][1], "1.0")]
