"""The same jobs on a Ray cluster of this machine, where Ray is installed."""

import os

import pytest

pytest.importorskip("ray", reason="Ray is an extra: pip install 'croupier[ray]'")

from croupier.features.engines.chosen import engine_of
from croupier.features.engines.engine import LocalEngine, Results
from croupier.features.settings import Settings
from croupier.features.store.storage import open_store
from tests.features.engines import counted

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own deprecations


@pytest.fixture(scope="module")
def engine():
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield engine_of(Settings(engine="ray"))
    ray.shutdown()


def test_results_are_those_of_the_loop_from_other_processes(engine):
    jobs = [{"x": x} for x in range(6)]
    found = engine.map(counted.squared, jobs)
    assert [r["square"] for r in found] == [r["square"] for r in LocalEngine().map(counted.squared, jobs)]
    assert os.getpid() not in {r["process"] for r in found}


def test_results_are_kept_and_an_error_is_raised(engine, tmp_path):
    results = Results(open_store(str(tmp_path / "store")), "squares")
    kept = type(engine)(results=results)
    with pytest.raises(RuntimeError, match="job 1 fails"):
        kept.map(counted.squared, [{"x": 1, "fail": True}])
    assert kept.map(counted.squared, [{"x": 5}])[0]["square"] == 25
    assert LocalEngine(results).map(counted.squared, [{"x": 5}])[0]["process"] != os.getpid()  # Ray's is there


def test_a_job_whose_process_dies_is_computed_again(engine, tmp_path):
    assert engine.map(counted.dies_once, [{"x": 1, "folder": str(tmp_path)}]) == [2]
    assert (tmp_path / "died").exists()
