"""A champion that explores toward an undecided candidate: exact propensities, whatever becomes of the candidate."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from croupier.features.schema import Arm
from croupier.features.spec import AppSpec, RewardSpec
from croupier.features.store import layout
from croupier.models.baselines import FixedArm, Uniform
from croupier.models.exploration import with_floor, with_floor_toward
from croupier.serving.contract.slates import SlateRequest, decided
from croupier.serving.decide import scoring
from croupier.serving.decide.candidate_breaker import CandidateBreaker
from croupier.serving.decide.replay import replay
from croupier.serving.decide.scoring import LEFT_OUT
from croupier.serving.decide.selector import Selector
from croupier.serving.release import bundle
from croupier.serving.release.exploration.toward import Toward
from croupier.serving.slates.selector import SlateSelector
from tests.serving import apps
from tests.serving.decide.selectors import Broken
from tests.serving.slates.test_at_once import Memory, of_each

FLOOR = 0.2


def toward(policy, share=0.5):
    return Toward(policy=policy, share=share, features="abc", until=17)


def selector(release, log, **more):
    calm = CandidateBreaker(None, patience_ms=60_000)  # a busy machine is no slow candidate
    return Selector(release, recorder=log, rollout=None, unit_key="k", **({"breaker": calm} | more))


def by_hand(release, request, other=True):
    """The pmf of one request from the two policies' own."""
    parts = [request.context], [request.arms], [request.arm_context]
    batch = release.encoder.encode(*parts, release.catalogue)
    own = release.champion.pmf(batch)
    if not other:
        return with_floor(own, batch.mask, FLOOR)[0]
    return with_floor_toward(own, release.toward.policy.pmf(batch), batch.mask, FLOOR, release.toward.share)[0]


def price(release, request, pmf):
    """Σ (π₁ − π₀)² / p, with both as a rollout would serve them: the rows that telling them apart takes go with it."""
    parts = [request.context], [request.arms], [request.arm_context]
    batch = release.encoder.encode(*parts, release.catalogue)
    one, other = (with_floor(p.pmf(batch), batch.mask, FLOOR)[0] for p in (release.champion, release.toward.policy))
    return float(np.square(other - one) @ (1.0 / pmf))


@pytest.mark.medium
def test_what_is_logged_is_what_was_drawn_from_and_replay_derives_it(tmp_path, spool):
    made = apps.write(tmp_path, apps.trained("lin_ts"), toward=toward(apps.trained("vw_cb_adf")), floor=FLOOR)
    requests = apps.sample().requests(60, strange=True)
    answers = selector(made, spool).select(requests)
    found = spool.find([a.event_id for a in answers])
    moved, prices = 0, []
    for request, answer in zip(requests, answers, strict=True):
        expected, decision = by_hand(made, request), found[answer.event_id]
        np.testing.assert_allclose(decision.pmf, expected, atol=1e-12)
        assert decision.propensity == dict(zip(decision.arms, decision.pmf, strict=True))[decision.arm]
        assert min(decision.pmf) >= FLOOR / 2 / len(decision.arms) - 1e-12
        assert (decision.role, decision.policy, decision.fallback_reason) == ("champion", "lin_ts", "")
        plain = by_hand(made, request, other=False)
        moved += float(np.abs(expected - plain).sum()) > 0.01
        prices.append([price(made, request, pmf) for pmf in (np.array(decision.pmf), plain)])
        steps = replay(decision, load=lambda _: made, spool=spool, spec=RewardSpec())
        assert all(s.holds for s in steps), steps
    assert moved > 40, "most decisions explore otherwise than uniformly"
    spent, before = np.mean(prices, axis=0)
    assert spent < 0.9 * before, "the served log tells the two apart in fewer rows"
    uniform = replace(made, toward=None)
    steps = replay(found[answers[0].event_id], load=lambda _: uniform, spool=spool, spec=RewardSpec())
    assert [s.step for s in steps if not s.holds] == ["pmf"]


@pytest.mark.parametrize("fault", ["raises", "nan", "shape", "exits"])
def test_a_candidate_that_fails_leaves_uniform_exploration_and_is_cut_off(tmp_path, spool, fault, monkeypatch):
    monkeypatch.setattr(scoring.log, "disabled", True)
    whole = apps.write(tmp_path, FixedArm(arm="reel-03"), toward=toward(FixedArm(arm="reel-05")), floor=FLOOR)
    broken = replace(whole, toward=toward(Broken(fault)))
    requests = apps.sample().requests(8)
    s = selector(broken, spool)
    reasons = []
    for turn in range(4):
        answers = s.select([replace(r, event_id=f"{fault}-{turn}-{i}") for i, r in enumerate(requests)])
        assert {a.role for a in answers} == {"champion"}
        for answer, request in zip(answers, requests, strict=True):
            np.testing.assert_allclose(answer.pmf, by_hand(whole, request, other=False), atol=1e-12)
        decision = spool.find([answers[0].event_id])[answers[0].event_id]
        reasons.append(decision.fallback_reason)
        steps = replay(decision, load=lambda _: whole, spool=spool, spec=RewardSpec())
        assert all(step.holds for step in steps), steps
    assert all(reason.startswith("toward: ") for reason in reasons)
    assert [reason == LEFT_OUT for reason in reasons] == [False, False, False, True]


def test_a_candidate_that_is_too_slow_is_not_waited_for(tmp_path, spool):
    gate = threading.Event()

    class Hangs(Uniform):
        def pmf(self, batch):
            gate.wait(20.0)
            return super().pmf(batch)

    whole = apps.write(tmp_path, FixedArm(arm="reel-03"), toward=toward(FixedArm(arm="reel-05")), floor=FLOOR)
    slow = replace(whole, toward=toward(Hangs()))
    request = apps.sample().requests(1)[0]
    (answer,) = selector(slow, spool, breaker=CandidateBreaker(None, patience_ms=20)).select([request])
    gate.set()
    np.testing.assert_allclose(answer.pmf, by_hand(whole, request, other=False), atol=1e-12)
    decision = spool.find([answer.event_id])[answer.event_id]
    assert decision.fallback_reason.startswith("toward: TooSlow: no result after")
    assert all(s.holds for s in replay(decision, load=lambda _: whole, spool=spool, spec=RewardSpec()))


@pytest.mark.medium
def test_slots_of_a_slate_explore_as_decisions_one_after_another_to_the_bit(tmp_path):
    made = apps.write(tmp_path, apps.trained("lin_ts"), toward=toward(apps.trained("vw_cb_adf")), floor=FLOOR)
    asked = [
        SlateRequest(
            unit_id=r.unit_id,
            context=r.context,
            arms=list(r.arms),
            arm_context=list(r.arm_context),
            k=1 + i % 3,
            event_id=f"page-{i}",
        )
        for i, r in enumerate(apps.sample().requests(30))
    ]
    memory, one_by_one = Memory(), Memory()
    breaker = CandidateBreaker(None, patience_ms=60_000)
    slates = SlateSelector(made, recorder=memory, rollout=None, unit_key="key", breaker=breaker)
    assert slates.select_slates(asked, memory) == decided(slates.recording_in(one_by_one).select, asked)
    assert of_each(memory.calls[0]) == of_each([d for call in one_by_one.calls for d in call])
    assert any(min(d.pmf) < FLOOR / len(d.arms) - 1e-6 for d in memory.calls[0]), "none explores toward anybody"


def test_a_release_carries_it_in_its_golden_decisions_and_digests(tmp_path):
    app, folder = apps.sample(), tmp_path / "7"
    asked = app.requests(2)
    golden = [{"context": r.context, "arms": r.arms, "arm_context": r.arm_context} for r in asked]
    common = {"encoder": app.encoder, "arms": app.arms, "floor": FLOOR, "meta": {}, "champion": FixedArm(arm="reel-03")}
    bundle.write_release(
        folder, number=7, candidate=None, golden=golden, toward=toward(FixedArm(arm="reel-05")), **common
    )
    loaded = bundle.load(folder)
    entry = {"policy": "fixed_arm", "share": 0.5, "features": "abc", "until": 17}
    assert loaded.manifest["toward"] == entry == loaded.toward.entry()
    for request, kept in zip(asked, loaded.golden, strict=True):
        np.testing.assert_allclose(kept.pmf, by_hand(loaded, request), atol=1e-12)
        np.testing.assert_allclose(kept.pmf, apps.offline(loaded, [request])[0], atol=1e-12)
    policy = folder / "toward" / layout.POLICY_FILE
    policy.write_bytes(policy.read_bytes().replace(b"reel-05", b"reel-06"))
    with pytest.raises(bundle.ReleaseRefused, match=r"toward/policy\.json"):
        bundle.load(folder)
    with pytest.raises(ValueError, match="toward: found it beside a candidate"):
        bundle.write_release(tmp_path / "8", number=8, candidate=Uniform(), toward=toward(Uniform()), **common)
    with pytest.raises(ValueError, match="toward: found fixed_arm, which refuses arms that are in no catalogue"):
        bundle.write_release(
            tmp_path / "9",
            number=9,
            candidate=None,
            toward=toward(FixedArm(arm="a")),
            source="both",
            **(common | {"champion": Uniform(), "arms": [Arm(arm_id="reel-03", features=app.arms[3].features)]}),
        )


def test_allocations_and_it_exclude_each_other():
    both = {"policies": {"toward_candidate": 0.5, "candidates": ["lin_ts"]}, "allocation": {"costs": {"a": 1.0}}}
    with pytest.raises(ValueError, match=r"toward_candidate: found 0.5, expected 0 beside \[allocation\]"):
        AppSpec.model_validate(both)
    with pytest.raises(ValueError, match="less than 1"):
        AppSpec.model_validate({"policies": {"toward_candidate": 1.0}})
    assert AppSpec.model_validate({"policies": {"toward_candidate": 0.5}}).policies.toward_candidate == 0.5
