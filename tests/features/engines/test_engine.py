"""The seam, its loop, and results that are written once."""

import pytest

from croupier.features.engines import chosen
from croupier.features.engines.engine import LocalEngine, Results, named, plain
from croupier.features.settings import Settings
from croupier.features.store.storage import open_store
from tests.features.engines import counted

JOBS = [{"x": x} for x in (3, 1, 2)]


def values(results):
    return [r["square"] for r in results]


@pytest.fixture
def results(tmp_path):
    return Results(open_store(str(tmp_path / "store")), "squares")


def test_results_come_in_the_order_of_the_jobs_and_done_is_called_after_each():
    seen = []
    assert values(LocalEngine().map(counted.squared, JOBS, done=lambda: seen.append(1))) == [9, 1, 4]
    assert len(seen) == 3
    assert LocalEngine().map(counted.squared, []) == []


def test_a_killed_run_goes_on_with_the_jobs_that_are_left(results, tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()
    jobs = [{"x": x, "folder": str(calls)} for x in range(5)]
    engine, seen = LocalEngine(results), []

    def killed_after_two():
        seen.append(1)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.map(counted.squared, jobs, done=killed_after_two)
    assert len(list(calls.iterdir())) == 2
    for file in calls.iterdir():
        file.unlink()
    assert values(engine.map(counted.squared, jobs)) == [0, 1, 4, 9, 16]
    assert sorted(f.name.partition("-")[0] for f in calls.iterdir()) == ["2", "3", "4"]
    assert values(LocalEngine(results).map(counted.squared, jobs[::-1])) == [16, 9, 4, 1, 0]
    assert len(list(calls.iterdir())) == 3  # nothing was computed again


def test_the_first_result_stays(results):
    first = results.keep(counted.squared, JOBS[0], {"square": 9})
    assert results.keep(counted.squared, JOBS[0], {"square": -1}) == first == {"square": 9}
    assert results.find(counted.squared, JOBS) == {0: {"square": 9}}
    assert Results(results.store, "others").find(counted.squared, JOBS) == {}
    assert results.key(counted.squared, {"a": 1, "b": 2}) == results.key(counted.squared, {"b": 2, "a": 1})
    assert results.key(counted.dies_once, JOBS[0]) != results.key(counted.squared, JOBS[0])


def test_an_error_of_a_job_is_raised_and_what_came_before_is_kept(results):
    with pytest.raises(RuntimeError, match="job 1 fails"):
        LocalEngine(results).map(counted.squared, [{"x": 7}, {"x": 1, "fail": True}, {"x": 2}])
    assert values(results.find(counted.squared, [{"x": 7}, {"x": 2}]).values()) == [49]


def test_only_functions_of_a_module_and_plain_json_are_taken():
    for wrong in (lambda job: job, JOBS.append, Results.key):
        with pytest.raises(ValueError, match=r"function: found .* expected one that its module has by that name"):
            LocalEngine().map(wrong, JOBS)
    assert named(counted.squared) == "tests.features.engines.counted:squared"
    for wrong in ({"x": float("nan")}, {"x": (1, 2)}):
        with pytest.raises(ValueError, match=r"job 1 of tests\S+squared: found .*, which JSON reads back as"):
            LocalEngine().map(counted.squared, [{"x": 1}, wrong])
    with pytest.raises(ValueError, match=r"expected plain JSON \(Type is not JSON serializable: set\)"):
        LocalEngine().map(counted.squared, [{"x": {1}}])
    with pytest.raises(ValueError, match=r"tuple_of: its result: found \(3,\)"):
        LocalEngine().map(counted.tuple_of, JOBS)
    assert plain({"x": [1, 2.5, None, "ü"]}, "this") == {"x": [1, 2.5, None, "ü"]}


def test_the_setting_chooses_and_says_what_to_install(monkeypatch):
    assert chosen.engine_of(Settings()) == LocalEngine()
    monkeypatch.setattr(chosen, "RAY", "ray_that_is_not_installed")
    with pytest.raises(ValueError, match=r"CROUPIER_ENGINE: found 'ray', .* run `pip install 'croupier\[ray\]'`"):
        chosen.engine_of(Settings(engine="ray"))
    with pytest.raises(ValueError, match=r"CROUPIER_ENGINE|engine: found 'spark'"):
        Settings(engine="spark")
