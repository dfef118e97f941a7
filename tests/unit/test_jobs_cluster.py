"""Work on a real Dask cluster of processes: as local, while workers die, and what it refuses."""

import os
import signal
import subprocess
import sys
import time
import types

import job_work
import pytest

from t10c.errors import ClusterError, T10cError, UnsupportedOperatorError, UsageError
from t10c.jobs import Place, cluster, run_jobs

distributed = pytest.importorskip("distributed")

NAMES = [f"item {number}" for number in range(8)]


@pytest.fixture(scope="module")
def local_cluster():
    """Two worker processes that are started again when they die."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as found:
        yield found


def place_of(found):
    return Place(cluster=found.scheduler_address.replace("tcp", "dask"))


def pids(found):
    return [worker.process.pid for worker in found.workers.values() if worker.process]


def test_results_are_those_of_this_process(local_cluster):
    arrived = {}
    place = place_of(local_cluster)
    found = run_jobs(job_work.square, range(8), NAMES, place, arrived.__setitem__)
    assert found == run_jobs(job_work.square, range(8), NAMES)
    assert arrived == dict(enumerate(found))


def test_errors_keep_class_and_text_and_the_first_item_decides(local_cluster):
    with pytest.raises(UnsupportedOperatorError) as caught:
        run_jobs(job_work.refused, range(8), NAMES, place_of(local_cluster))
    assert str(caught.value) == "no operator 1\nchoose another"
    assert caught.value.nodes == (("n", "Op"),)


def test_work_of_a_worker_that_is_killed_is_done_again(local_cluster):
    killed = []

    def kill(index, result):
        if not killed:
            killed.append(pids(local_cluster)[0])
            os.kill(killed[0], signal.SIGKILL)

    names = [str(number) for number in range(40)]
    found = run_jobs(job_work.slow_square, range(40), names, place_of(local_cluster), kill)
    assert killed
    assert found == [number**2 for number in range(40)]


def test_results_that_are_lost_before_they_are_fetched_come_again(local_cluster):
    """All workers die when all work is done and the first result has been fetched."""
    died = []

    def kill(index, result):
        if not died:
            time.sleep(1)
            died.extend(pids(local_cluster))
            for pid in died:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.3)  # so that the client knows, and no worker is there again

    found = run_jobs(job_work.square, range(8), NAMES, place_of(local_cluster), kill)
    assert len(died) == 2
    assert found == [number**2 for number in range(8)]


def test_a_result_that_does_not_arrive_is_an_error(local_cluster, monkeypatch):
    """Nor is it waited for without end."""
    monkeypatch.setattr(cluster, "RESULT_SECONDS", 1e-9)
    with pytest.raises(ClusterError, match=r"^item 0: the result did not arrive within"):
        run_jobs(job_work.square, range(1), NAMES[:1], place_of(local_cluster))


def test_an_item_that_kills_worker_after_worker_is_named(local_cluster):
    with pytest.raises(T10cError, match=r"^item 1: \d workers died over it"):
        run_jobs(job_work.deadly, range(1, 2), ["item 1"], place_of(local_cluster))


def test_what_is_not_done_is_cancelled_when_the_work_ends(local_cluster, tmp_path):
    class StopError(Exception):
        pass

    def stop(index, result):
        raise StopError

    items = [(number, tmp_path) for number in range(100)]
    with pytest.raises(StopError):
        run_jobs(job_work.noted, items, [str(i) for i in items], place_of(local_cluster), stop)
    deadline = time.monotonic() + 20
    while local_cluster.scheduler.tasks and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not local_cluster.scheduler.tasks
    assert len(list(tmp_path.iterdir())) < 20


def test_a_worker_of_another_t10c_refuses(local_cluster, monkeypatch):
    other = (("Python", "3.99"), *cluster.identity()[1:])
    monkeypatch.setattr(cluster, "identity", lambda: other)
    with pytest.raises(ClusterError, match=r"^a worker has Python 3\.\d+, not 3\.99\n") as caught:
        run_jobs(job_work.square, range(8), NAMES, place_of(local_cluster))
    assert "install the same t10c" in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_package_that_workers_lack_is_named(local_cluster, monkeypatch):
    module = types.ModuleType("only_here")
    exec("def work(number): return number", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    with pytest.raises(ClusterError, match=r"^a worker lacks only_here\n"):
        run_jobs(module.work, range(8), NAMES, place_of(local_cluster))


def test_a_scheduler_that_does_not_answer(monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    with pytest.raises(
        ClusterError, match=r"no Dask scheduler answered at tcp://127\.0\.0\.1:1 "
    ) as c:
        run_jobs(job_work.square, range(8), NAMES, Place(cluster="dask://127.0.0.1:1"))
    assert c.value.exit_code == 3
    assert "within 1 s" in str(c.value)


def test_a_cluster_without_workers(monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        pytest.raises(ClusterError, match="has no workers, after 1 s\nstart one with: dask worker"),
    ):
        run_jobs(job_work.square, range(8), NAMES, place_of(empty))


def test_a_cluster_that_loses_all_workers_for_good(monkeypatch):
    monkeypatch.setattr(cluster, "IDLE_SECONDS", 1)
    monkeypatch.setattr(cluster, "_POLL_SECONDS", 0.2)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as found:
        place = place_of(found)

        def lose(index, result):
            found.scale(0)

        names = [str(number) for number in range(200)]
        with pytest.raises(ClusterError, match="has had no worker for 1 s"):
            run_jobs(job_work.slow_square, range(200), names, place, lose)


def test_a_scheduler_that_goes_away(tmp_path):
    """A scheduler of its own process is killed in the middle."""
    scheduler = subprocess.Popen(
        [
            *(sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0"),
            *("--no-dashboard", "--scheduler-file", str(tmp_path / "scheduler.json")),
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        client = distributed.Client(
            scheduler_file=str(tmp_path / "scheduler.json"), set_as_default=False, timeout=20
        )
        address = client.scheduler.address
        client.close()
        worker = subprocess.Popen(
            [
                *(sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny"),
                *("--nthreads", "1", "--no-dashboard", "--death-timeout", "20"),
            ],
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        names = [str(number) for number in range(200)]
        with pytest.raises(ClusterError, match="went away"):
            run_jobs(
                job_work.slow_square,
                range(200),
                names,
                Place(cluster=address),
                lambda index, result: scheduler.kill(),
            )
    finally:
        scheduler.kill()
        worker.kill()
        scheduler.wait()
        worker.wait()


def test_without_distributed_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install 't10c\[cluster\]'"):
        run_jobs(job_work.square, range(8), NAMES, Place(cluster="dask://127.0.0.1:1"))
