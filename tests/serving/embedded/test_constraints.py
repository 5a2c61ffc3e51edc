"""Rules and limits of app.toml, in the product's own process: kept in every decision, logged, replayed."""

import pytest

from croupier import Embedded, Refused
from croupier.features.schema import CANDIDATE
from croupier.features.spec import RewardSpec
from croupier.serving.decide.replay import replay
from croupier.serving.operate import catalogue_release
from croupier.serving.release import bundle_store
from tests.serving import apps
from tests.serving.constrained import GENRE, broken, can_be_met, declared, left_out
from tests.serving.embedded.shop import asked, opened, publish


def decisions_of(shop, n, seed=0):
    """(requests, answers, decisions by event) of n requests, a third of which lack their age."""
    requests = apps.sample().requests(n, seed=seed, strange=True)
    answers = [a for start in range(0, n, 64) for a in shop.select_batch(requests[start : start + 64])]
    return requests, answers, shop.host.spool.find([a.event_id for a in answers if not a.error])


@pytest.mark.slow
def test_no_rule_and_no_limit_is_ever_broken_in_5000_decisions(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_PATIENCE_MS", "60000")  # of a busy machine
    w = declared(tmp_path)
    publish(w, apps.trained("neural_linear"), apps.trained("lin_ts"))
    with Embedded("shop", var=tmp_path) as shop:
        requests, answers, found = decisions_of(shop, 5000)
    assert len(found) > 4000
    for request, answer in zip(requests, answers, strict=True):
        out = left_out(request)
        rest = [arm for arm in request.arms if arm not in out]
        assert bool(answer.error) == (not rest or not can_be_met(rest)), (request, answer)
        if not answer.error:
            assert set(answer.dropped) == out
            assert [p for arm, p in zip(request.arms, answer.pmf, strict=True) if arm in out] == [0.0] * len(out)
    assert [b for d in found.values() for b in broken(d)] == []
    assert {d.role for d in found.values()} == {"champion", CANDIDATE}


@pytest.mark.medium
def test_each_decision_is_derived_again_and_a_broken_rule_is_named(tmp_path):
    w = declared(tmp_path)
    publish(w, apps.trained("neural_linear"))
    with Embedded("shop", var=tmp_path) as shop:
        _, _, found = decisions_of(shop, 200)
        release, spool = shop.host.selector.release, shop.host.spool
        for decision in found.values():
            steps = replay(decision, load=lambda _: release, spool=spool, spec=RewardSpec())
            assert [s.step for s in steps][3] == "rules"
            assert all(s.holds for s in steps), steps
        told = next(d for d in found.values() if any(GENRE[a] == "news" for a in d.arms))
        told.context["age"] = 12.0
        steps = replay(told, load=lambda _: release, spool=spool, spec=RewardSpec())
        assert (steps[-1].step, steps[-1].holds) == ("rules", False)
        assert "is left out by rule no news below 30" in steps[-1].detail


@pytest.mark.medium
def test_limits_hold_although_the_policy_fails(tmp_path):
    w = declared(tmp_path)
    publish(w, apps.trained("lin_ts"))
    with Embedded("shop", var=tmp_path) as shop:
        shop.host.selector._scorer._heads.policy = lambda role: (_ for _ in ()).throw(RuntimeError("gone"))
        _, _, found = decisions_of(shop, 64)
        assert {d.role for d in found.values()} == {"fallback"}
        assert [b for d in found.values() for b in broken(d)] == []
        release, spool = shop.host.selector.release, shop.host.spool
        steps = replay(next(iter(found.values())), load=lambda _: release, spool=spool, spec=RewardSpec())
        assert all(s.holds for s in steps), steps


def test_a_request_that_no_pmf_can_serve_is_refused_by_name(tmp_path):
    w = declared(tmp_path)
    publish(w, apps.trained("lin_ts"))
    news = [arm for arm in GENRE if GENRE[arm] == "news"]
    comedy = [arm for arm in GENRE if GENRE[arm] == "comedy"]
    with Embedded("shop", var=tmp_path) as shop:
        with pytest.raises(Refused, match="this one: rule no news below 30"):
            shop.select(unit_id="u", context={"age": 12.0}, arms=news)
        with pytest.raises(Refused, match=r"found caps that sum to 0.4, expected at least 1"):
            shop.select(unit_id="u", context={"age": 40.0}, arms=comedy)
        music = [arm for arm in GENRE if GENRE[arm] == "music"]
        chosen = shop.select(unit_id="u", context={"age": 40.0}, arms=[*news, music[0]])
        assert chosen.pmf[-1] >= 0.25 - 1e-9


def test_a_repeat_gets_its_first_answer(tmp_path):
    w = declared(tmp_path)
    publish(w, apps.trained("lin_ts"))
    request = next(r for r in apps.sample().requests(50) if left_out(r) and can_be_met(set(r.arms) - left_out(r)))
    with Embedded("shop", var=tmp_path) as shop:
        first = shop.select(**asked(request))
        assert first.dropped
        assert shop.select(**asked(request)) == first


def test_a_rule_goes_live_at_once_where_it_is_asked_for_and_no_sooner(tmp_path):
    w = opened(tmp_path)
    first = publish(w, apps.trained("lin_ts"))
    assert "safeguards" not in bundle_store.manifest(w.store, first)
    w = declared(tmp_path)
    assert catalogue_release.release_catalogue(w, 1) is None, "a look at the catalogue is no wish of new rules"
    second = catalogue_release.release_catalogue(w, 1, declared=True)
    manifest = bundle_store.manifest(w.store, second)
    assert manifest["meta"]["verdict"] == "rules and limits of app.toml"
    assert [rule["name"] for rule in manifest["safeguards"]["rules"]] == ["no news below 30", "not in Brazil"]
    assert catalogue_release.release_catalogue(w, 1, declared=True) is None, "nothing has changed"
    with Embedded("shop", var=tmp_path) as shop:
        requests, _, found = decisions_of(shop, 64)
    assert [b for d in found.values() for b in broken(d)] == []
    assert any(left_out(r) for r in requests)


@pytest.mark.medium
def test_slots_of_a_slate_keep_rules_and_limits_as_decisions_do(tmp_path):
    w = declared(tmp_path)
    publish(w, apps.trained("neural_linear"))
    with Embedded("shop", var=tmp_path) as shop:
        shown = 0
        for request in apps.sample().requests(120, seed=5, strange=True):
            try:
                slate = shop.select_slate(unit_id=request.unit_id, context=request.context, arms=request.arms, k=2)
            except Refused:
                continue  # nothing that rules and limits leave can fill both slots
            out, shown = left_out(request), shown + 1
            arms = [slot.arm for slot in slate.slots]
            assert len(set(arms)) == 2
            assert not out & set(arms)
            found = shop.host.spool.find([slot.event_id for slot in slate.slots])
            assert [b for d in found.values() for b in broken(d)] == []
            assert {d.event_id: d.propensity for d in found.values()} == {
                slot.event_id: slot.propensity for slot in slate.slots
            }
    assert shown > 40
