"""The selector alone: exact propensities, repeatable answers, rows that fail by themselves."""

import json
from dataclasses import replace

import numpy as np
import orjson
import pytest
from scipy import stats

from croupier.features.ids import hash_unit
from croupier.features.log.spool import Spool
from croupier.models.baselines import FixedArm, Uniform
from croupier.serving.contract.requests import Raw, Request
from croupier.serving.decide import draws
from croupier.serving.decide.selector import Selector
from croupier.serving.release.rollout_mirror import RolloutReader
from tests.serving import apps
from tests.serving.decide.selectors import selector

POLICIES = ("uniform", "vw_cb_adf", "neural_linear")


def test_answers_are_the_policys_and_are_on_record(tmp_path, spool):
    s = selector(tmp_path, spool, FixedArm(arm="reel-03"))
    requests = apps.sample().requests(60, strange=True)
    answers = s.select(requests)
    expected = apps.offline(s.release, requests)
    logged = spool.find([r.event_id for r in requests])
    for request, answer, pmf in zip(requests, answers, expected, strict=True):
        assert answer.error == ""
        assert np.abs(np.array(answer.pmf) - pmf[: len(request.arms)]).max() < 1e-12
        assert answer.propensity == answer.pmf[request.arms.index(answer.arm)]
        decision = logged[request.event_id]
        assert (decision.arm, decision.propensity, decision.pmf) == (answer.arm, answer.propensity, answer.pmf)
        assert decision.unit_id == hash_unit("k", request.unit_id)
        assert decision.context == request.context
        assert decision.arm_context == tuple(request.arm_context)
        assert (decision.policy, decision.role, decision.release) == ("fixed_arm", "champion", 1)
        assert (decision.encoder, decision.catalogue) == (s.release.encoder.digest, s.release.catalogue.digest)


def test_the_same_event_gets_the_same_answer_in_any_batch_and_order(tmp_path, spool):
    s = selector(tmp_path, spool, Uniform())
    fresh = Spool(tmp_path / "other.db", durability="NORMAL")
    other = Selector(s.release, recorder=fresh, rollout=None, unit_key="k")
    requests = apps.sample().requests(40)
    first = s.select(requests)
    assert s.select(requests[::-1]) == first[::-1]
    assert [s.select([r])[0] for r in requests[5:10]] == first[5:10]
    assert [other.select([r])[0] for r in requests] == first  # not from memory: the draw is a function of the event
    assert spool.counts()["decisions"] == 40
    again = replace(requests[0], arms=requests[1].arms, arm_context=requests[1].arm_context)
    assert s.select([again])[0].error.startswith("event_id: found 'event-0-0', expected a new id")
    fresh.close()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("unit_id", "another unit"),
        ("context", "another context"),
        ("arms", "other arms"),
        ("arm_context", "another arm_context"),
    ],
)
def test_an_event_id_of_another_question_is_refused_by_name_and_counted(tmp_path, spool, change, what):
    s = selector(tmp_path, spool, Uniform())
    asked, other = apps.sample().requests(2)
    (first,) = s.select([asked])
    changed = {
        "unit_id": other.unit_id,
        "context": {**asked.context, "age": 99.0},
        "arms": asked.arms[::-1],
        "arm_context": asked.arm_context[::-1],
    }[change]
    (answer,) = s.select([replace(asked, **{change: changed})])
    assert answer.error == f"event_id: found 'event-0-0', expected a new id: this one was answered for {what}"
    assert (answer.arm, answer.pmf) == ("", ())
    (reject,) = (orjson.loads(body) for _, body in spool.read("rejects"))
    assert (reject["kind"], reject["field"], reject["raw"]) == ("decision", "event_id", "event-0-0")
    assert reject["reason"] == f"event_id_reused: {answer.error}"
    refused = [labels for (name, labels) in s.meter.drain()[0] if name == "croupier_rejects_total"]
    assert refused == [(("model", "select_arm"), ("field", "event_id"))]
    assert s.select([asked]) == [first]  # it is on record, and stays what it was
    assert spool.counts()["decisions"] == 1


def test_events_without_an_id_get_one_each(tmp_path, spool):
    s = selector(tmp_path, spool, Uniform())
    answers = s.select([replace(r, event_id="") for r in apps.sample().requests(20)])
    assert len({a.event_id for a in answers}) == 20
    assert len({a.arm for a in answers}) > 3


@pytest.mark.parametrize(
    ("name", "draws_each"),
    [
        ("uniform", 500),
        *(pytest.param(name, 1500, marks=pytest.mark.slow) for name in POLICIES if name != "uniform"),
        *(pytest.param(name, 5000, marks=[pytest.mark.slow, pytest.mark.full]) for name in POLICIES),
    ],
)
@pytest.mark.medium
def test_propensities_are_true(tmp_path, spool, name, draws_each):
    """Chosen arms against the logged pmf: χ² over 40 requests × 1,500 draws = 60,000 selections (`full`: 200,000), p > 0.001."""
    s = selector(tmp_path, spool, apps.trained(name))
    requests = apps.sample().requests(40, seed=4, strange=True)
    statistic, freedom = 0.0, 0
    for i, request in enumerate(requests):
        raw = Raw.of(request)
        counts, logged = dict.fromkeys(request.arms, 0), None
        for start in range(0, draws_each, 500):
            ids = [f"draw-{i}-{j}".encode() for j in range(start, start + 500)]
            for answer in s.select_raw([replace(raw, event_id=event) for event in ids]):
                counts[answer.arm] += 1
                logged = answer.pmf
        expected = np.array(logged) * draws_each
        observed = np.array(list(counts.values()))
        big = expected >= 5
        cells = [(observed[big], expected[big])]
        if expected[~big].sum() >= 5:
            cells.append(([observed[~big].sum()], [expected[~big].sum()]))
        for o, e in cells:
            statistic += float((((np.array(o) - e) ** 2) / e).sum())
            freedom += len(o)
        freedom -= 1
    assert spool.counts()["decisions"] == 40 * draws_each
    assert stats.chi2.sf(statistic, freedom) > 0.001


def test_a_draw_biased_by_two_percent_fails_the_chi_square():
    """The test above can fail: the same law, with draws from a slightly different pmf."""
    pmf = np.full((1, 5), 0.2)
    biased = pmf + np.array([0.02, -0.005, -0.005, -0.005, -0.005])
    events = [f"e{i}" for i in range(20_000)]
    for drawn_from, passes in ((pmf, True), (biased, False)):
        counts = np.bincount(draws.draw(np.repeat(drawn_from, len(events), axis=0), "s", events), minlength=5)
        assert (stats.chisquare(counts, pmf[0] * len(events)).pvalue > 0.001) == passes


def test_the_largest_draw_stays_below_any_sum_of_masses(monkeypatch):
    """Were it to round up to the sum, an arm of mass 0 behind it would be drawn, or none at all."""
    largest = 1 - 2.0**-53  # of ids.uniform01
    sums = [1.0, 0.5, *np.nextafter(1.0, [0.0, 2.0]), *np.random.default_rng(0).uniform(1 - 1e-6, 1 + 1e-6, 20_000)]
    assert all(largest * total < total for total in sums)
    monkeypatch.setattr(draws, "uniforms", lambda _salt, events: [largest] * len(events))
    assert draws.draw([[0.3, total - 0.3, 0.0] for total in sums], "s", ["e"] * len(sums)) == [1] * len(sums)
    rows = np.array([[0.3, total - 0.3, 0.0] for total in sums] * draws.MANY)
    assert draws.draw_rows(rows, "s", ["e"] * len(rows)) == [1] * len(rows)


def test_draws_want_an_event_for_each_row():
    for events in (["e"], ["e", "f", "g"]):
        with pytest.raises(ValueError, match="zip"):
            draws.draw([[0.5, 0.5], [1.0, 0.0]], "salt", events)


def test_draws_never_hit_an_arm_of_mass_zero():
    pmf = np.array([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [0.0, 0.0, 1.0]])
    for event in range(300):
        chosen = draws.draw(pmf, "s", [f"{event}"] * 3)
        assert (pmf[[0, 1, 2], chosen] > 0).all()


@pytest.mark.medium
def test_units_are_split_by_hash_sticky_and_monotone(tmp_path, spool):
    requests = [replace(r, event_id="", unit_id=f"unit-{i}") for i, r in enumerate(apps.sample().requests(1500))]
    seen = {}
    for share in (0.05, 0.2, 0.5):
        s = selector(tmp_path / str(share), spool, Uniform(), FixedArm(arm="reel-03"), share=share)
        roles = [a.role for a in s.select(requests)]
        assert roles == [a.role for a in s.select(requests)]
        seen[share] = {i for i, role in enumerate(roles) if role == "candidate"}
        assert abs(len(seen[share]) / 1500 - share) < 4 * np.sqrt(share * (1 - share) / 1500)
    assert seen[0.05] < seen[0.2] < seen[0.5]


def test_without_a_readable_rollout_the_champion_serves(tmp_path, spool):
    s = selector(tmp_path, spool, Uniform(), FixedArm(arm="reel-03"), share=1.0)
    requests = apps.sample().requests(10)
    assert {a.role for a in s.select(requests)} == {"candidate"}
    half = json.dumps(
        {"release": 1, "stage": "100%", "share": 1.0, "salt": "s", "since": 0, "stages": [1.0], "history": []}
    )
    wrong = [half.replace('"s"', "5"), half.replace('"100%"', "5"), half.replace("1.0,", '"1.0",', 1), half.replace("1.0,", "true,", 1),
             half.replace("1.0,", "NaN,", 1), half[:-9], "[" * 100_000, "[]", ""]  # fmt: skip
    for content in (*wrong, "{", None):
        if content is None:
            (tmp_path / "rollout.json").unlink()
        else:
            (tmp_path / "rollout.json").write_text(content)
        s.rollout = RolloutReader(tmp_path / "rollout.json")
        fresh = [replace(r, event_id="") for r in requests]
        assert {a.role for a in s.select(fresh)} == {"champion"}


def test_a_probability_is_at_most_one_whatever_a_policy_rounds(tmp_path, spool):
    class Rounded(Uniform):
        def pmf(self, batch):
            one = np.zeros(batch.mask.shape)
            one[:, 0] = 1 + 9e-7
            return one

    release = replace(apps.write(tmp_path, Uniform(), floor=0.0), champion=Rounded())
    s = Selector(release, recorder=spool, rollout=None, unit_key="k")
    assert {(a.role, a.propensity) for a in s.select(apps.sample().requests(8))} == {("champion", 1.0)}


def test_a_trial_records_nothing_and_obeys_the_unit_id(tmp_path):
    release = apps.write(tmp_path, Uniform(), FixedArm(arm="reel-03"))
    s = Selector(release, recorder=None, rollout=None, unit_key="k")
    (request,) = apps.sample().requests(1)
    roles = [s.select([replace(request, unit_id=u)])[0].role for u in ("smoke:candidate", "smoke:champion", "u")]
    assert roles == ["candidate", "champion", "champion"]


def test_an_arm_outside_its_time_is_dropped_and_the_request_refused_only_where_none_is_left(tmp_path, spool):
    release = apps.write(tmp_path, Uniform())
    arms = (replace(release.arms[0], valid_to=1000), *release.arms[1:])
    s = Selector(replace(release, arms=arms), recorder=spool, rollout=None, unit_key="k", clock=lambda: 2000)
    request = Request(unit_id="u", context={}, arms=[arms[0].arm_id, arms[1].arm_id])
    answer = s.select([request])[0]
    assert (answer.arm, answer.pmf, answer.dropped) == (arms[1].arm_id, (0.0, 1.0), (arms[0].arm_id,))
    alone = s.select([replace(request, arms=[arms[0].arm_id])])[0]
    assert alone.error.startswith(f"arms: found '{arms[0].arm_id}', expected at least one arm that can be chosen now")
    trial = Selector(replace(release, arms=arms), recorder=None, rollout=None, unit_key="k", clock=lambda: 2000)
    assert trial.select([request])[0].error == ""  # else no release whose golden decisions are old could come back


def test_many_rows_are_drawn_as_one_after_another():
    rng = np.random.default_rng(8)
    for K in (1, 2, 9, 40):
        pmf = rng.dirichlet(np.full(K, 0.3), 500)
        pmf[rng.random(pmf.shape) < 0.2] = 0.0  # masses that cannot be drawn, also at the end, as padding is
        pmf = pmf[pmf.sum(axis=1) > 0]
        events = [f"event-{i}" for i in range(len(pmf))]
        one_by_one = draws.draw(pmf.tolist(), "salt", events)
        assert draws.draw_rows(pmf, "salt", events) == one_by_one
        assert draws.draw_rows(pmf[:3], "salt", events[:3]) == one_by_one[:3]
        assert (pmf[np.arange(len(pmf)), one_by_one] > 0).all()
