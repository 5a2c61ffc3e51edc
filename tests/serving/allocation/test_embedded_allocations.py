"""Allocations through the embedded selector: within their totals, drawn as they say, on record, rewarded, derived anew."""

import json
import random
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from croupier.features.budgets.allocated_item import item_of
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.ids import uuid7
from croupier.features.quality import audit
from croupier.models.ope.rounds import as_served
from croupier.models.vw.policy import BilinearPolicy
from croupier.serving.allocation.replayed import replay
from croupier.serving.client.errors import Refused
from croupier.serving.release import bundle
from tests.serving.allocation import pages

pytestmark = pytest.mark.medium


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setenv("CROUPIER_DURABILITY", "NORMAL")


@pytest.fixture
def app(tmp_path):
    with pages.opened(tmp_path) as app:
        yield app


@pytest.fixture
def taught(app):
    """The app after a release of a policy that has learnt."""
    policy, encoder = pages.learnt(app)
    pages.published(app, policy, encoder)
    assert app.release == 2
    return app


def one(**more):
    return pages.asked(random.Random(7), **more)


def test_an_answer_is_what_is_on_record(app):
    found = app.allocate(**one(), event_id="first")
    rows = pages.decisions(app)
    assert [d.event_id for d in rows] == list(found.events) == ["first/0", "first/1", "first/2"]
    assert tuple(d.arm for d in rows) == found.options
    assert [d.pmf for d in rows] == list(found.marginals)
    assert {len({d.unit_id for d in rows}), len({d.at for d in rows})} == {1}
    items = [item_of(d.allocation) for d in rows]
    assert [(i.place, i.items, i.name, i.total, i.costs) for i in items] == [
        (n, 3, f"p{n}", 450.0, (0.0, 100.0, 400.0)) for n in range(3)
    ]
    assert found.cost == sum(pages.COSTS[option] for option in found.options) <= 450
    assert found.propensity == items[0].propensity == pytest.approx(1 / 11)  # none, few, many within 450: eleven ways
    assert [d.propensity for d in rows] == [
        row[found.offered.index(option)] for row, option in zip(found.marginals, found.options, strict=True)
    ]


@pytest.mark.parametrize("released", [False, True])
def test_what_is_drawn_has_the_probability_that_is_said(app, released):
    """χ² of the joint and of each item's marginals, of one request asked two thousand times."""
    if released:
        pages.published(app, *pages.learnt(app))
    seen = [app.allocate(**one(), event_id=f"e{i}") for i in range(2000)]
    joint = {each.options: each.propensity for each in seen}
    counts = Counter(each.options for each in seen)
    assert max(each.cost for each in seen) <= 450
    assert 0.98 < sum(joint.values()) < 1 + 1e-9
    assert len(joint) > 4
    likely = [options for options in joint if joint[options] * 2000 > 5]
    rest = 2000 - sum(counts[o] for o in likely), 2000 * (1 - sum(joint[o] for o in likely))
    observed, expected = [counts[o] for o in likely], [2000 * joint[o] for o in likely]
    if rest[1] > 5:
        observed, expected = [*observed, rest[0]], [*expected, rest[1]]
    assert chisquare(observed, np.array(expected) * sum(observed) / sum(expected)).pvalue > 1e-3
    first = seen[0]
    for i, row in enumerate(first.marginals):
        shown = [sum(each.options[i] == option for each in seen) for option in first.offered]
        assert chisquare(shown, 2000 * np.array(row)).pvalue > 1e-3


def test_a_policy_that_learnt_spends_where_it_helps(taught):
    """Three patches, one of which shows what is asked: it gets the tokens."""
    ask = {"unit_id": "u", "context": {"question": "text"}}
    shows = [{"features": {"shows": name}} for name in ("colour", "text", "colour")]
    found = taught.allocate(**ask, items=shows)
    many = [row[found.offered.index("many")] for row in found.marginals]
    assert many[1] > 0.6
    assert max(many[0], many[2]) < 0.2
    assert (found.role, found.step, found.gap) == ("champion", 360, 0.0)
    poor = taught.allocate(**ask, items=shows, total=100)
    assert poor.cost <= 100
    assert poor.marginals[1][poor.offered.index("few")] > 0.5


def test_the_same_event_has_its_first_answer_and_is_no_other_requests(taught):
    first = taught.allocate(**one(), event_id="again")
    assert taught.allocate(**one(), event_id="again") == first
    n = len(pages.decisions(taught))
    for other in (one(total=300), one(items=2), one(items=4), one() | {"unit_id": "somebody else"}):
        with pytest.raises(Refused, match=r"event_id: found .*, expected a new id: this one was answered for another"):
            taught.allocate(**other, event_id="again")
    assert len(pages.decisions(taught)) == n


def test_every_step_is_derived_anew_and_a_changed_row_is_seen(taught, tmp_path):
    found = taught.allocate(**one())
    spool, w = taught.host.spool, taught.host.w
    rows = spool.find(found.events)

    def steps(row):
        return replay(row, load=lambda n: bundle.load(w.home / "embedded" / str(n)), spool=spool, spec=w.spec.reward)

    for row in rows.values():
        assert [(s.step, s.holds) for s in steps(row)] == [
            (name, True)
            for name in ("items", "release", "encoder", "catalogue", "posterior", "marginals", "draw", "propensity")
        ]
    body = json.loads(
        spool.db.execute("SELECT body FROM decisions WHERE event_id = ?", [found.events[1]]).fetchone()[0]
    )
    body["pmf"] = [0.2, 0.3, 0.5]
    spool.db.execute("UPDATE decisions SET body = ? WHERE event_id = ?", [json.dumps(body), found.events[1]])
    assert [s.step for s in steps(rows[found.events[0]]) if not s.holds] == ["marginals"]
    spool.db.execute("DELETE FROM decisions WHERE event_id = ?", [found.events[2]])
    (last,) = steps(rows[found.events[0]])
    assert (last.step, last.holds) == ("items", False)
    assert last.detail.startswith("2 of 3 items")


def test_the_gate_sees_the_marginals_that_were_served(taught):
    """The policy on the encoded log: each request solved again under its own budget, the very pmf on record."""
    rng, before = random.Random(5), len(pages.decisions(taught))
    for i in range(40):
        taught.allocate(**pages.asked(rng, items=2 + i % 3, **({"total": 200 + 100 * (i % 4)} if i % 2 else {})))
    rows = pages.decisions(taught)[before:]
    release = taught.host.selector.release
    log = encode_interactions(pages.interactions(rows, [0.0] * len(rows)), release.encoder, release.catalogue)
    mixed = np.random.default_rng(1).permutation(len(log))
    found = as_served(release.champion, log.batch[mixed], release.floor)
    assert found == pytest.approx(log.pmf[mixed], abs=1e-12)
    plain = release.champion.pmf(log.batch)
    assert np.abs(plain - log.pmf).max() > 0.2  # which is not what it would do without a budget
    with pytest.raises(ValueError, match="found 1 items, expected 2"):
        as_served(release.champion, log.batch[:1], release.floor)


def test_the_propensity_audit_asks_one_item_of_a_request(app):
    rng = random.Random(2)
    for _ in range(200):
        app.allocate(**pages.asked(rng))
    frame = pages.interactions(pages.decisions(app), [0.0] * 600)
    (found,) = audit.evidence(frame).values()
    assert found.n == 200
    assert found.log_e < 3


@pytest.mark.parametrize(("rewards", "event", "other"), [("items", 1, 0), ("request", 0, 1)])
def test_a_reward_is_of_an_item_or_of_the_whole_request_as_declared(tmp_path, rewards, event, other):
    toml = pages.TOML.replace("total = 450", f'total = 450\nrewards = "{rewards}"')
    with pages.opened(tmp_path, toml=toml) as app:
        found = app.allocate(**one())
        events = found.event_id, found.events[1]
        assert app.reward(event_id=events[event], kind="right", value=0.5).status == "accepted"
        assert app.reward(event_id=events[event], kind="right", value=0.5).status == "duplicate"
        with pytest.raises(
            Refused, match=f"event_id: found .*, expected the event of .* allocation.rewards = '{rewards}'"
        ):
            app.reward(event_id=events[other], kind="right", value=0.5)
        kept = [json.loads(body)["event_id"] for _, body in app.host.spool.read("rewards")]
        assert kept == (list(found.events) if rewards == "request" else [found.events[1]])
        assert app.reward(event_id=uuid7(), kind="right", value=0.5).status == "unknown_event"


def test_whole_requests_are_learnt_as_sums_of_their_items(tmp_path):
    """One row a request: what the head knows afterwards is least squares on Σφ, and it finds the items that matter."""
    toml = pages.TOML.replace("total = 450", 'total = 450\nrewards = "request"')
    with pages.opened(tmp_path, toml=toml) as app:
        policy, encoder = pages.learnt(app, requests=400, whole=True)
        assert policy.head.step == 400
        pages.published(app, policy, encoder)
        shows = [{"features": {"shows": name}} for name in ("colour", "text", "colour")]
        found = app.allocate(unit_id="u", context={"question": "text"}, items=shows)
        many = [row[found.offered.index("many")] for row in found.marginals]
        assert many[1] > max(many[0], many[2]) + 0.3


def test_a_policy_without_draws_is_not_served_but_a_random_allocation_is(app):
    policy, encoder = pages.learnt(app, requests=5)
    log = pages.interactions(pages.decisions(app), [0.5] * 15)
    vw = BilinearPolicy().learn([encode_interactions(log, encoder, encoder.catalogue(app.host.w.arms()))])
    pages.published(app, vw, encoder, candidate=policy)
    found = app.allocate(**one())
    assert (found.role, found.gap) == ("fallback", None)
    assert found.propensity == pytest.approx(1 / 11)
    row = pages.decisions(app)[-1]
    expected = (
        "champion: CannotAllocate: found vw_cb_adf, expected a policy that allocates: uniform, lin_ts, neural_linear"
    )
    assert row.fallback_reason == expected


HOSTILE = [
    ({"items": []}, r"items: found \[\], expected a list of one item at least"),
    ({"items": [{}] * 100_000}, "items: found '100000 of them', expected at most 1000"),
    ({"items": [{"id": "a"}, {"id": "a"}]}, "items: found 'a', expected each id once"),
    ({"items": [{"colour": 1}]}, r"items\[0\]: found .*, expected an object of some of"),
    ({"items": [{"features": {"shows": ["a"]}}]}, r"items\[0\]\.features\.shows: found \['a'\]"),
    ({"items": [{}, {"features": {"shwos": "text"}}]}, r"items\[1\]\.features\.shwos"),
    ({"items": [{"features": {"question": "text"}}]}, r"items\[0\]\.features\.question: found 'text', expected a feature that"),
    ({"items": [{"costs": [1, 2]}]}, r"items\[0\]\.costs: found '2 of them', expected one for each of the 3 options"),
    ({"items": [{"costs": [1, -2, 3]}]}, r"items\[0\]\.costs\[1\]: found -2, expected a finite number, 0 or more"),
    ({"items": [{"costs": [1, float("nan"), 3]}]}, "items: found .*, expected finite numbers"),
    ({"total": -1}, "total: found -1, expected a finite number, 0 or more"),
    ({"total": float("inf")}, "total: found inf, expected finite numbers"),
    ({"total": 10, "options": [{"id": "few", "cost": 5}]}, "total: found 10.0, expected at least 15, the sum of each item"),
    ({"options": ["few", "few"]}, "options: found 'few', expected each option once"),
    ({"options": ["other"]}, "options: found 'other', expected an arm of release 1"),
    ({"options": []}, r"options: found \[\], expected a list of 1 to 1000 ids"),
    ({"options": [{"id": "few", "cost": "5"}]}, r"options\[0\]\.cost: found '5', expected a finite number"),
    ({"context": {"nobody": 1}}, r"context\.nobody: found"),
    ({"event_id": "x" * 255}, "event_id: found '255 bytes', expected 250 bytes at most"),
    ({"unit_id": ""}, "unit_id: found '0 bytes', expected 1 to 256 bytes"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "said"), HOSTILE)
def test_hostile_requests_are_refused_by_name_and_nothing_is_on_record(app, given, said):
    with pytest.raises(Refused, match=said):
        app.allocate(**(one() | given))
    assert pages.decisions(app) == []


def test_without_costs_or_a_total_it_says_who_may_give_them(tmp_path):
    bare = pages.TOML.partition("[allocation]")[0]
    with pages.opened(tmp_path, toml=bare) as app:
        with pytest.raises(
            Refused, match=r"options: found 'none', expected options, or arms .* \[allocation.costs\] in app"
        ):
            app.allocate(**one())
        options = [{"id": "none", "cost": 0}, {"id": "few", "cost": 2.5}]
        with pytest.raises(Refused, match=r"total: found None, expected a number, or \[allocation\] total in app.toml"):
            app.allocate(**one(options=options))
        found = app.allocate(**one(options=options, total=5))
        assert found.offered == ("none", "few")
        assert found.cost <= 5
        own = app.allocate(**one(options=options, total=2) | {"items": [{"costs": [0, 1]}, {}, {}]})
        assert own.options[1:] == ("none", "none")
