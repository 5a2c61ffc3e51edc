"""A candidate that hangs: how long its batch mates wait, and what is said of it."""

import logging
import threading
import time
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from croupier.models.baselines import FixedArm
from croupier.serving.decide.candidate_breaker import SLOW_BATCHES, CandidateBreaker
from croupier.serving.decide.deadline import DeadlineRunner, TooSlow
from croupier.serving.decide.scoring import Scorer
from croupier.serving.learning.live_heads import LiveHeads
from tests.serving import apps


def test_results_and_errors_come_back_and_late_ones_are_left():
    runner, gate = DeadlineRunner(), threading.Event()
    assert runner.run(lambda: 6 * 7, 5.0) == 42
    with pytest.raises(ZeroDivisionError):
        runner.run(lambda: 1 / 0, 5.0)
    with pytest.raises(TimeoutError, match="its own"):  # no result in time is another matter
        runner.run(_its_own_timeout, 5.0)
    began = time.monotonic()
    with pytest.raises(TooSlow, match=r"no result after 0\.050 s"):
        runner.run(gate.wait, 0.05)
    begun = []
    with pytest.raises(TooSlow, match="still at the work before, for 0") as found:
        runner.run(lambda: begun.append(1), 30.0)
    assert 0.05 <= found.value.busy <= time.monotonic() - began < 2.0
    gate.set()
    assert _when_free(runner, lambda: "again") == "again"
    assert not begun


def _when_free(runner, work):
    while True:
        with suppress(TooSlow):
            return runner.run(work, 30.0)
        time.sleep(0.01)


def _its_own_timeout():
    raise TimeoutError("its own")


def test_patience_is_halved_by_each_slow_batch_and_given_back_by_a_quick_one(tmp_path):
    breaker = CandidateBreaker(tmp_path / "breaker.json", patience_ms=40.0)
    assert breaker.patience(20) == pytest.approx(0.05)
    waits = []
    for _ in range(SLOW_BATCHES - 1):
        waits.append(breaker.patience(20))
        breaker.slow(1, "50%", "late")
    assert waits == pytest.approx([0.05, 0.025, 0.0125, 0.00625])
    assert not breaker.open(1, "50%")
    breaker.in_time()
    assert breaker.patience(20) == pytest.approx(0.05)
    for _ in range(SLOW_BATCHES):
        breaker.slow(1, "50%", "late")
        breaker.slow(1, "50%", "late", busy=1.9)  # says no more
    assert breaker.open(1, "50%")
    assert not breaker.open(1, "100%")


def test_a_candidate_that_hangs_is_out(tmp_path):
    breaker = CandidateBreaker(tmp_path / "breaker.json")
    breaker.slow(1, "50%", "late")
    for busy in (0.1, 1.0, 1.9):
        breaker.slow(1, "50%", "late", busy=busy)
    assert breaker.patience(0) == pytest.approx(0.015)
    assert not breaker.open(1, "50%")
    breaker.slow(1, "50%", "late", busy=2.1)
    assert CandidateBreaker(tmp_path / "breaker.json").open(1, "50%")


class Broken:
    """Raises what it is given."""

    name = "fixed_arm"

    def __init__(self, error):
        self.error = error

    def pmf(self, batch):
        raise self.error


@pytest.fixture
def scored(tmp_path):
    """score(role, champion's error, candidate's error, trial) on three requests, with the breaker that counted."""

    def score(role, champion=None, candidate=None, *, trial=False):
        release = apps.write(
            tmp_path / f"home{len(list(tmp_path.iterdir()))}", FixedArm(arm="reel-03"), FixedArm(arm="reel-05")
        )
        replaced = {}
        for name, error in (("champion", champion), ("candidate", candidate)):
            if error is not None:
                replaced[name] = Broken(error)
        release = replace(release, **replaced)
        breaker = CandidateBreaker(None, patience_ms=10_000)
        batch = release.encoder.encode([{}] * 3, [["reel-03", "reel-05"]] * 3, [()] * 3, release.catalogue)
        scorer = Scorer(release, LiveHeads(None, release), breaker, trial=trial)
        return scorer, scorer.score(role, batch, "50%"), breaker

    return score


def test_a_role_that_works_serves_itself(scored):
    for role, expected in (("champion", [0.99, 0.01]), ("candidate", [0.01, 0.99])):
        _, served, _ = scored(role)
        assert (served.role, served.policy, served.reason, served.step) == (role, "fixed_arm", "", 0)
        assert served.pmf.tolist() == pytest.approx(np.array([expected] * 3), abs=1e-12)


@pytest.mark.parametrize("trial", [False, True])
def test_a_candidate_that_fails_costs_its_rows_the_champions_and_the_third_time_its_place(scored, trial):
    scorer, served, breaker = scored("candidate", candidate=ValueError("no"), trial=trial)
    assert (served.role, served.policy, served.reason) == ("fallback", "fixed_arm", "candidate: ValueError: no")
    assert served.pmf[0].tolist() == pytest.approx([0.99, 0.01])
    assert not breaker.open(1, "50%")
    batch = scorer._release.encoder.encode([{}], [["reel-03", "reel-05"]], [()], scorer._release.catalogue)
    for _ in range(2):
        scorer.score("candidate", batch, "50%")
    assert breaker.open(1, "50%")
    assert not breaker.open(1, "20%")
    assert not breaker.open(2, "50%")


def test_a_champion_that_fails_is_uniform_and_no_fault_of_the_candidate(scored):
    _, served, breaker = scored("champion", champion=SystemExit(3))
    assert (served.role, served.policy, served.step) == ("fallback", "uniform", 0)
    assert served.reason == "champion: SystemExit: 3"
    assert served.pmf[0].tolist() == [0.5, 0.5]
    assert not breaker.open(1, "50%")
    _, served, _ = scored("candidate", champion=ValueError("too"), candidate=ValueError("no"))
    assert (served.role, served.policy, served.reason) == ("fallback", "uniform", "candidate: ValueError: no")


class Mute(Exception):
    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(("error", "reason"), [
    (ValueError("x" * 500), "candidate: ValueError: " + "x" * 177), (Mute(), "candidate: Mute: (says nothing)"),
    (ValueError("\udcff"), "candidate: ValueError: ?"),
], ids=["long", "mute", "surrogate"])  # fmt: skip
def test_a_reason_is_short_text(scored, error, reason, caplog):
    caplog.set_level(logging.CRITICAL)  # what the log says goes from worker to worker as UTF-8, which has no surrogates
    assert scored("candidate", candidate=error)[1].reason == reason


@pytest.mark.parametrize("candidate", [FixedArm(arm="reel-05"), None])
def test_each_policy_is_warmed_once_and_one_that_fails_there_is_told_and_left(tmp_path, caplog, candidate):
    warmed = []

    class Counting(FixedArm):
        def pmf(self, batch):
            warmed.append(self.arm)
            if self.arm == "reel-03":
                raise ValueError("cold")
            return super().pmf(batch)

    release = apps.write(tmp_path, FixedArm(arm="reel-03"), candidate)
    release = replace(release, champion=Counting(arm="reel-03"), candidate=candidate and Counting(arm="reel-05"))
    batch = release.encoder.encode([{}], [["reel-03", "reel-05"]], [()], release.catalogue)
    scorer = Scorer(release, LiveHeads(None, release), CandidateBreaker(None), trial=False)
    with caplog.at_level(logging.ERROR):
        scorer.warm(batch)
    assert warmed == ["reel-03", "reel-05"][: 1 + (candidate is not None)]
    assert [record.getMessage() for record in caplog.records] == ["champion failed while warming up"]
