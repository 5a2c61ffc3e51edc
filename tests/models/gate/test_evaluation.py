"""Policies judged as served on a small world of known click probabilities."""

import json
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from croupier.features.batch import Batch, Catalogue, Interactions
from croupier.features.spec import GateSpec
from croupier.models.baselines import Uniform
from croupier.models.exploration import PolicyFailed, with_floor
from croupier.models.gate.evaluation import evaluate
from croupier.models.gate.gate_page import write_report
from croupier.models.ope import self_tests
from croupier.models.ope.reward_model import cross_fit, fold_of, quality
from croupier.models.ope.rounds import as_served, rounds_of

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`

A, D = 6, 4


class Scored:
    """softmax of x·W_a / temperature over the candidates."""

    name = "scored"

    def __init__(self, weight, temperature=0.3):
        self.weight, self.temperature = weight, temperature

    def pmf(self, batch):
        scores = np.take_along_axis(batch.context @ self.weight, batch.arm, axis=1) / self.temperature
        odds = np.where(batch.mask, np.exp(scores - scores.max(axis=1, keepdims=True)), 0.0)
        return odds / odds.sum(axis=1, keepdims=True)


def world(n, seed, *, base=0.3, scale=0.15, catalogue=A, k=4, one_unit=False):
    """A uniform log: ragged candidate lists, P(click) = clip(base + scale x·W_a). Returns it and the true q (n, K)."""
    rng = np.random.default_rng(seed)
    weight = np.random.default_rng(99).normal(size=(D, catalogue)) / np.sqrt(D)
    arm = np.argsort(rng.random((n, catalogue)), axis=1)[:, :k]
    mask = np.arange(k) < rng.integers(2, k + 1, n)[:, None]
    arm = np.where(mask, arm, 0)
    x = rng.normal(size=(n, D)).astype(np.float32)
    features = np.eye(catalogue, dtype=np.float32)
    cat = Catalogue(ids=tuple(f"a{i}" for i in range(catalogue)), features=features, digest="d")
    batch = Batch(context=x, arm=arm, mask=mask, pair=np.zeros((n, k, 0), np.float32), catalogue=cat)
    truth = np.clip(base + scale * np.take_along_axis(x @ weight, arm, axis=1), 0, 1) * mask
    pmf = with_floor(Scored(-weight, 5.0).pmf(batch), mask, 0.2)
    chosen = (rng.random(n)[:, None] > np.cumsum(pmf, axis=1)).sum(axis=1)
    row = np.arange(n)
    log = Interactions(
        batch=batch,
        chosen=chosen,
        reward=(rng.random(n) < truth[row, chosen]).astype(float),
        propensity=pmf[row, chosen],
        pmf=pmf,
        at=np.arange(n) * 1_000_000,
        unit=rng.integers(0, 2**63, n, dtype=np.uint64) if not one_unit else np.zeros(n, np.uint64),
        weight=np.ones(n),
    )
    return log, truth, weight


def judged(log, weight, **more):
    policies = {"uniform": Uniform(), "good": Scored(weight), "bad": Scored(-weight)}
    return evaluate(policies, log, champion="uniform", floor=0.1, gate=GateSpec(), seed=1, **more)


class Broken(Scored):
    """The good policy, with something done to its pmf."""

    def __init__(self, weight, change):
        super().__init__(weight)
        self.change = change

    def pmf(self, batch):
        return self.change(super().pmf(batch))


@pytest.mark.parametrize(("change", "found"), [
    (lambda p: 1.01 * p, "whose row does not sum to 1"), (lambda p: p * np.nan, "NaN or infinity"),
    (lambda p: p[:, :-1], r"of shape \(4096, 3\), expected \(4096, 4\)"),
    (lambda p: p + [0.1, -0.1, 0.0, 0.0] * (p[:, :1] > 0), "negative mass"), (lambda p: p[:1], r"of shape \(1, 4\)"),
    (lambda p: 1 / 0, "ZeroDivisionError: division by zero"),
])  # fmt: skip
def test_what_is_no_pmf_is_named_and_never_promoted(change, found, tmp_path):
    """Mass beyond 1 would be judged as reward; and one that is broken keeps no other from its verdict."""
    log, _, weight = world(6_000, 0)
    policies = {"uniform": Uniform(), "good": Scored(weight), "broken": Broken(weight, change)}
    judge = partial(evaluate, log=log, champion="uniform", floor=0.1, gate=GateSpec(), seed=1)
    result = judge(policies)
    assert re.search(found, result.failed["broken"])
    assert (set(result.policies), result.promoted) == ({"uniform", "good", "logging"}, "good")
    assert result.policies["good"].verdict == judge(policies | {"broken": Scored(-weight)}).policies["good"].verdict
    alone = judge({"uniform": Uniform(), "broken": Broken(weight, change)})
    assert (alone.promoted, alone.to_dict()["failed"]) == ("", result.failed)
    assert "uniform" in write_report(alone.to_dict(), tmp_path / "page.html").read_text()
    with pytest.raises(PolicyFailed, match=r"^champion uniform: found a pmf"):
        judge({"uniform": Broken(weight, lambda p: 2 * p), "good": Scored(weight)})


def test_estimates_and_verdicts_on_known_truth():
    log, truth, weight = world(20_000, 0)
    result = judged(log, weight)
    policies = {"uniform": Uniform(), "good": Scored(weight), "bad": Scored(-weight)}
    for name, policy in policies.items():
        report = result.policies[name]
        true_value = float((as_served(policy, log.batch, 0.1) * truth).sum(axis=1).mean())
        assert report.bounds.lower < true_value < report.bounds.upper, name
        assert report.estimates["dr"] == pytest.approx(true_value, abs=0.02), name
    assert result.policies["good"].verdict.decision == "promote"
    assert result.policies["bad"].verdict.decision == "reject"
    assert result.promoted == "good"


def test_dr_is_the_plain_formula():
    log, _, weight = world(300, 1)
    predicted, pmf = cross_fit(log, seed=1), as_served(Scored(weight), log.batch, 0.1)
    total = 0.0
    for i in range(300):
        q, c = predicted[i], log.chosen[i]
        total += sum(pmf[i, a] * q[a] for a in range(4))
        total += pmf[i, c] / log.propensity[i] * (log.reward[i] - q[c])
    assert judged(log, weight).policies["good"].estimates["dr"] == pytest.approx(total / 300, abs=1e-12)


def test_the_logs_own_policy_is_its_mean_reward():
    log, _, weight = world(2000, 2)
    own = judged(log, weight).policies["logging"]
    assert own.estimates["ips"] == pytest.approx(log.reward.mean(), abs=1e-12)
    assert own.estimates["snips"] == pytest.approx(log.reward.mean(), abs=1e-12)
    assert own.ess == pytest.approx(2000)


def test_champion_is_judged_with_the_floor_and_has_no_lift_over_itself():
    log, _, weight = world(2000, 3)
    result = evaluate({"a": Scored(weight), "b": Scored(weight)}, log, champion="a", floor=0.3, gate=GateSpec())
    assert result.policies["b"].lift == 0.0
    assert result.policies["b"].verdict.decision == "not enough evidence"
    served = as_served(Scored(weight), log.batch, 0.3)
    assert served.sum(axis=1) == pytest.approx(np.ones(2000))
    assert served[log.batch.mask].min() >= 0.3 / 4


def test_report_is_json():
    log, _, weight = world(1500, 4)
    body = json.loads(json.dumps(judged(log, weight).to_dict(), allow_nan=False))
    good = body["policies"]["good"]
    assert {"dm", "ips", "snips", "dr", "lower", "upper", "ess", "verdict", "conditions", "rows_needed"} <= set(good)
    assert [c["name"] for c in good["conditions"]][:2] == ["lift_lower", "second_estimator_upper"]
    assert body["policies"]["uniform"]["verdict"] == "champion"
    assert good["lift"]["lower"] < good["lift"]["value"] < good["lift"]["upper"]


def test_rare_clicks_are_undecided_not_a_crash():
    log, _, weight = world(10_000, 5, base=0.004, scale=0.0, catalogue=80, k=80)
    assert 20 < log.reward.sum() < 60
    result = judged(log, weight)
    assert result.policies["good"].verdict.decision == "not enough evidence"
    assert abs(result.policies["uniform"].estimates["dr"] - 0.004) < 0.002


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_rewards_without_variety_give_that_constant(value):
    log, _, weight = world(2000, 6)
    object.__setattr__(log, "reward", np.full(2000, value))
    result = judged(log, weight)
    assert result.policies["good"].estimates["dr"] == pytest.approx(value, abs=1e-9)
    assert result.policies["good"].verdict.decision == "not enough evidence"


def test_wrong_propensities_fail_the_self_test_and_the_gate():
    log, _, weight = world(20_000, 7)
    assert self_tests.propensity(log) > 0.01
    object.__setattr__(log, "propensity", np.clip(log.propensity * 1.05, 0, 1))
    assert self_tests.propensity(log) < 0.01
    assert "propensity_self_test" in judged(log, weight).policies["good"].verdict.failed


def test_a_candidate_outside_the_support_is_refused():
    log, _, weight = world(5000, 8)
    log.pmf[:, 0] = np.where(log.chosen == 0, log.pmf[:, 0], 0.0)  # the log could not have drawn it
    assert "support" in judged(log, weight).policies["good"].verdict.failed


def test_a_harmed_guardrail_and_bad_data_are_refused():
    log, _, weight = world(20_000, 9)
    hurt = judged(log, weight, guardrails={"kept": 1.0 - log.reward}, quality_passed=False).policies["good"].verdict
    assert {"guardrail:kept", "data_quality"} <= set(hurt.failed)


def test_error_is_shared_by_candidates_and_looks():
    log, _, weight = world(2000, 10)
    assert judged(log, weight).alpha == pytest.approx(0.05 / 2)
    assert judged(log, weight, alpha=0.01).policies["good"].verdict.alpha == pytest.approx(0.005)


def test_reward_model_learns_and_never_sees_its_own_fold():
    log, truth, _ = world(6000, 11)
    predicted = cross_fit(log, seed=0)
    mask = log.batch.mask
    assert np.corrcoef(predicted[mask], truth[mask])[0, 1] > 0.9
    assert quality(log, predicted)["r2"] > 0.02
    noise = np.random.default_rng(1).normal(size=6000)
    object.__setattr__(log, "reward", noise)  # nothing to learn: a model that peeked would have r2 > 0
    assert quality(log, cross_fit(log, seed=0))["r2"] < 0.005


def test_folds_keep_units_or_time_together():
    log, *_ = world(600, 12, one_unit=True)
    assert np.all(np.diff(fold_of(log, 3)) >= 0)  # stretches of time
    log = replace(log, unit=np.repeat(np.arange(100, dtype=np.uint64), 6))
    fold = fold_of(log, 3)
    assert all(len(set(fold[log.unit == u])) == 1 for u in range(100))
    assert sorted(np.bincount(fold)) == [198, 198, 204]


def test_bad_calls_say_what_to_do():
    log = world(50, 13)[0]
    with pytest.raises(ValueError, match="champion: found 'x', expected one of uniform"):
        evaluate({"uniform": Uniform()}, log, champion="x", floor=0.1, gate=GateSpec())
    with pytest.raises(ValueError, match="expected at least 2"):
        evaluate({"uniform": Uniform()}, log[:1], champion="uniform", floor=0.1, gate=GateSpec())
    odd = replace(log, reward=np.where(np.arange(50) == 7, -1e300, log.reward))
    with pytest.raises(ValueError, match=r"reward: found 1e\+300 in size, expected less than 1e\+30"):
        evaluate({"uniform": Uniform()}, odd, champion="uniform", floor=0.1, gate=GateSpec())
    with pytest.raises(ValueError, match="expected that of the log's arms"):
        rounds_of(log, np.ones((50, 3)), np.ones((50, 4)))


def test_a_candidate_that_is_the_champion_gets_a_sentence_and_no_infinite_bounds(tmp_path):
    log, _, _ = world(1500, 3)
    same = Scored(np.random.default_rng(1).normal(size=(D, A)))
    found = evaluate({"old": same, "new": same}, log, champion="old", floor=0.1, gate=GateSpec())
    report = found.policies["new"]
    assert (report.lift, report.lift_bounds.lower, report.lift_bounds.upper) == (0.0, 0.0, 0.0)
    assert (report.verdict.decision, report.verdict.rows_needed) == ("not enough evidence", None)
    page = write_report(found.to_dict(), tmp_path / "page.html").read_text()
    assert "new decides exactly as old does on all of these rounds" in page
