"""A policy that raises or answers what is no pmf costs its rows their own policy, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from croupier.models.baselines import FixedArm, Uniform
from croupier.serving.decide import scoring
from croupier.serving.decide.candidate_breaker import CandidateBreaker
from croupier.serving.decide.selector import Selector
from tests.serving import apps
from tests.serving.decide.selectors import Broken, selector


@pytest.fixture
def unlogged(monkeypatch):
    """A lone surrogate in a captured log is more than xdist can send."""
    monkeypatch.setattr(scoring.log, "disabled", True)


FAULTS = ["raises", "nan", "sums to two", "negative", "shape", "list", "none", "exits", "unspeakable", "surrogate"]


@pytest.mark.usefixtures("unlogged")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_candidate_falls_back_to_the_champion_and_is_cut_off(tmp_path, spool, fault):
    breaker = CandidateBreaker(tmp_path / "breaker.json", patience_ms=20_000)  # a busy machine is not what fails here
    s = selector(tmp_path, spool, FixedArm(arm="reel-03"), Broken(fault), share=1.0, breaker=breaker)
    requests = apps.sample().requests(8)
    expected = apps.offline(s.release, requests)
    for _ in range(3):
        answers = s.select([replace(r, event_id="") for r in requests])
        assert {a.role for a in answers} == {"fallback"}
        for answer, pmf in zip(answers, expected, strict=True):
            assert np.abs(np.array(answer.pmf) - pmf[: len(answer.pmf)]).max() < 1e-12
    decision = spool.find([answers[0].event_id])[answers[0].event_id]
    assert decision.policy == "fixed_arm"
    assert decision.fallback_reason.startswith("candidate: ")
    assert {a.role for a in s.select([replace(r, event_id="") for r in requests])} == {"champion"}
    elsewhere = CandidateBreaker(tmp_path / "breaker.json")  # another instance on this host
    assert elsewhere.open(1, "100%")
    assert not elsewhere.open(1, "50%")  # the controller has judged since
    assert not elsewhere.open(2, "100%")


@pytest.mark.usefixtures("unlogged")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_champion_falls_back_to_uniform(tmp_path, spool, fault):
    release = replace(apps.write(tmp_path, Uniform()), champion=Broken(fault))
    s = Selector(release, recorder=spool, rollout=None, unit_key="k")
    requests = apps.sample().requests(8)
    answers = s.select(requests)
    assert {a.role for a in answers} == {"fallback"}
    assert [a.propensity for a in answers] == pytest.approx([1 / len(r.arms) for r in requests], abs=1e-12)
    decision = spool.find([answers[0].event_id])[answers[0].event_id]
    assert (decision.policy, decision.fallback_reason[:9]) == ("uniform", "champion:")


def test_a_breaker_that_cannot_be_shared_opens_here(tmp_path, spool):
    breaker = CandidateBreaker(tmp_path / "no such folder" / "breaker.json")
    s = selector(tmp_path, spool, Uniform(), Broken("raises"), share=1.0, breaker=breaker)
    requests = apps.sample().requests(4)
    roles = []
    for _ in range(5):
        breaker._looked = -float("inf")  # as after LOOK_SECONDS
        roles.append({a.role for a in s.select([replace(r, event_id="") for r in requests])})
    assert roles == [{"fallback"}] * 3 + [{"champion"}] * 2
