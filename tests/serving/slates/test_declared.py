"""What app.toml asks of every slate: kept at each door, with exact propensities, on record, replayed and judged."""

from collections import Counter
from dataclasses import replace

import numpy as np
import orjson
import polars as pl
import pytest
from scipy.stats import chisquare

from croupier import Client, Embedded, Refused
from croupier.features.encoding import dataset, inline
from croupier.features.spec import AppSpec, RewardSpec
from croupier.features.store import layout
from croupier.models import policy
from croupier.models.ope.rounds import as_served
from croupier.models.slates.enumeration import conditionals, every_slate, marginals
from croupier.models.slates.policies import Minimums, PlackettLuce
from croupier.serving.contract.slates import SlateRequest, decided, named
from croupier.serving.decide.replay import replay
from croupier.serving.operate import catalogue_release
from croupier.serving.release import bundle_store
from croupier.serving.triton.server import Ports
from tests.contracts.test_policies import PARAMETERS
from tests.serving import apps
from tests.serving.embedded.shop import asked, opened, publish
from tests.serving.ended_at_once import EndedAtOnce
from tests.serving.slates.declared import (
    DECLARED,
    DIVERSITY,
    GENRE,
    UNLIKE,
    ByHand,
    K,
    can_be_kept,
    declared,
    may_show,
    prices,
)

TOML = """
[reward]
range = [0, 1]
[reward.kinds.click]
[arm.kind]
type = "categorical"
[policies]
floor = 0.1
[[slates.minimums]]
feature = "kind"
value = "news"
"""
ARMS = {"a": "film", "b": "film", "c": "song", "news-1": "news", "news-2": "news"}


@pytest.fixture
def shop(tmp_path):
    arms = {arm: {"kind": kind} for arm, kind in ARMS.items()}
    with Embedded.declared("shop", toml=TOML, arms=arms, var=tmp_path) as found:
        yield found


def slates_of(n, seed=0):
    """Slates whose arms can keep the minimums, of ragged lists, with features of (request, arm)."""
    known = [r for r in apps.sample().requests(4 * n, seed=seed, strange=True) if can_be_kept(r.arms)]
    return [SlateRequest(**asked(r), k=K) for r in known[:n]]


def logged(shop, slates):
    """The decisions of slates, slot after slot."""
    found = shop.host.spool.find([slot.event_id for slate in slates for slot in slate.slots])
    return [[found[slot.event_id] for slot in slate.slots] for slate in slates]


def test_slates_have_the_law_of_a_uniform_policy_held_to_what_is_declared(shop):
    """Each of 3,000 slates against its exact conditional propensities, all of them against joint and marginals."""
    names, n = list(ARMS), 3000
    news = np.array([[kind == "news" for kind in ARMS.values()]]).astype(np.int64)
    uniform = PlackettLuce(log_weights=np.zeros((1, 5)), mask=np.ones((1, 5), bool))
    law = conditionals(Minimums(policy=uniform, category=news, least={1: 1}, k=3), 3)
    slates = {tuple(names[i] for i in row): law[0, i] for i, row in enumerate(every_slate(5, 3))}
    asks = [SlateRequest(unit_id=f"u{i}", context={}, arms=names, k=3, event_id=f"page-{i}") for i in range(n)]
    drawn = shop.select_slates(asks)
    for slate in drawn:
        assert [s.propensity for s in slate.slots] == pytest.approx(slates[slate.arms], abs=1e-12)
        assert slate.propensity == pytest.approx(slates[slate.arms].prod(), abs=1e-12)
    possible = [arms for arms, p in slates.items() if p.prod() > 0]
    assert len(possible) == 54, "60 slates, of which six show no news"
    seen = Counter(slate.arms for slate in drawn)
    assert chisquare([seen[arms] for arms in possible], [n * slates[a].prod() for a in possible]).pvalue > 1e-3
    for slot, expected in enumerate(marginals(law.prod(axis=2), 5, 3)[0]):
        counts = Counter(slate.arms[slot] for slate in drawn)
        assert chisquare([counts[arm] for arm in names], n * expected).pvalue > 1e-3


def test_what_a_slate_asked_and_what_stood_above_are_on_record(shop):
    slate = shop.select_slate(unit_id="u", k=2, event_id="page")
    first, second = logged(shop, [slate])[0]
    assert orjson.loads(first.slate_so_far) == {"k": 2, "above": []}
    assert orjson.loads(second.slate_so_far) == {"k": 2, "above": [first.arm]}
    assert set(second.arms) == (
        {"a", "b", "c", "news-1", "news-2"} if ARMS[first.arm] == "news" else {"news-1", "news-2"}
    ) - {first.arm}
    assert shop.select_slate(unit_id="u", k=2, event_id="page") == slate, "a repeat"
    alone = shop.select(unit_id="u", event_id="alone")
    decision = shop.host.spool.find(["alone"])["alone"]
    assert (decision.slate_so_far, len(decision.arms), alone.dropped) == ("", 5, ()), "no slate: as ever"


@pytest.mark.parametrize(("changes", "says"), [
    ({"arms": ["a", "b", "c"]}, "arms: found \"0 with kind = 'news' that can be shown\", expected at least 1, as [[slates"),
    ({"k": 3, "minimums": [{"arms": ["a", "b", "c"], "slots": 3}]}, "minimums: found '4 slots in all', expected at most the slate's 3, of which app.toml asks for 1"),
    ({"minimums": [{"arms": ["news-1", "a"], "slots": 1}]}, "minimums[0].arms: found 'news-1', expected an arm that no other minimum has ([[slates.minimums]]"),
])  # fmt: skip
def test_what_cannot_be_kept_is_refused_by_name(shop, changes, says):
    with pytest.raises(Refused) as refused:
        shop.select_slate(**{"unit_id": "u", "k": 2} | changes)
    assert says in str(refused.value)
    assert shop.host.spool.counts()["decisions"] == 0


def test_a_slate_of_too_few_slots_and_one_beside_its_own_minimums(tmp_path):
    arms = {arm: {"kind": kind} for arm, kind in ARMS.items()}
    with Embedded.declared("shop", toml=f"{TOML}least = 2\n", arms=arms, var=tmp_path) as shop:
        with pytest.raises(Refused, match=r"slots: found '1 in all', expected at least 2: \[\[slates.minimums\]\]"):
            shop.select_slate(unit_id="u", k=1)
        for i in range(60):
            slate = shop.select_slate(unit_id=f"u{i}", k=3, minimums=[{"arms": ["c"], "slots": 1}], event_id=f"p{i}")
            assert set(slate.arms) == {"c", "news-1", "news-2"}
            assert slate.propensity == pytest.approx(1 / 6)


@pytest.mark.medium
@pytest.mark.parametrize("name", sorted(policy.POLICIES))
@pytest.mark.parametrize("asks_for", [DECLARED, UNLIKE + DECLARED], ids=["minimums", "minimums and unlike arms"])
def test_every_policys_slates_keep_them_with_the_pmf_it_has_offline_and_replay(tmp_path, name, asks_for):
    learnt = policy.make(name, **PARAMETERS.get(name, {}) | ({"arm": "reel-03"} if name == "fixed_arm" else {}))
    learnt = learnt.learn([apps.sample().log[:400]], seed=3)
    publish(declared(tmp_path, asks_for), learnt)
    diversity, moved = DIVERSITY * asks_for.startswith(UNLIKE), 0.0
    with Embedded("shop", var=tmp_path) as shop:
        asks = slates_of(12)
        slates = shop.select_slates(asks)
        assert [s.error for s in slates] == [""] * len(asks)
        release = shop.host.selector.release
        for request, decisions in zip(asks, logged(shop, slates), strict=True):
            above = list[str]()
            for decision in decisions:
                may = may_show([arm for arm in request.arms if arm not in above], above)
                assert list(decision.arms) == may
                one = [decision.context], [decision.arms], [decision.arm_context]
                batch = release.encoder.encode(*one, release.catalogue)
                priced = replace(batch, price=np.array([prices(may, above, diversity)]))
                offline = as_served(release.champion, priced, release.floor)[0]
                np.testing.assert_allclose(decision.pmf, offline, atol=1e-6)
                moved += np.abs(offline - as_served(release.champion, batch, release.floor)[0]).sum()
                steps = replay(decision, load=lambda _, r=release: r, spool=shop.host.spool, spec=RewardSpec())
                assert "slate" in [step.step for step in steps]
                assert all(step.holds for step in steps), steps
                above.append(decision.arm)
            assert {"news", "music"} <= {GENRE[arm] for arm in above}
    assert (moved > 0.1) == (bool(diversity) and name not in ("uniform", "fixed_arm")), "these two score nothing"


@pytest.mark.medium
def test_unlike_arms_are_drawn_by_their_law(tmp_path):
    """One request, 3,000 times: the joint of its 60 slates, and the marginals of its slots, of a policy of wide votes."""
    learnt = policy.make("lin_ts", draws=64).learn([apps.sample().log[:30]], seed=3)
    publish(declared(tmp_path, UNLIKE + DECLARED), learnt)
    by_genre = {genre: [arm for arm in GENRE if GENRE[arm] == genre] for genre in ("news", "music", "comedy")}
    arms = (*by_genre["news"][:2], *by_genre["music"][:2], by_genre["comedy"][0])
    context = dict(apps.sample().requests(1)[0].context)
    asks = [SlateRequest(unit_id=f"u{i}", context=context, arms=arms, k=K, event_id=f"page-{i}") for i in range(3000)]
    with Embedded("shop", var=tmp_path) as shop:
        drawn = [slate for n in range(0, 3000, 500) for slate in shop.select_slates(asks[n : n + 500])]
        release = shop.host.selector.release
    batch = release.encoder.encode([context], [arms], [()], release.catalogue)
    law = conditionals(ByHand(release.champion, batch, arms, release.floor, DIVERSITY), K)
    slates = {tuple(arms[i] for i in row): law[0, n] for n, row in enumerate(every_slate(5, K))}
    for slate in drawn:
        np.testing.assert_allclose([s.propensity for s in slate.slots], slates[slate.arms], atol=1e-6)
    plain = conditionals(ByHand(release.champion, batch, arms, release.floor, 0.0), K).prod(axis=2)
    assert np.abs(law.prod(axis=2) - plain).sum() > 0.1, "it is another law than that of minimums alone"
    seen, expected = Counter(slate.arms for slate in drawn), {a: 3000 * p.prod() for a, p in slates.items()}
    often = [a for a in slates if expected[a] >= 5]
    rest = [sum(seen.values()) - sum(seen[a] for a in often), 3000 - sum(expected[a] for a in often)]
    assert len(often) > 15
    assert chisquare([*(seen[a] for a in often), rest[0]], [*(expected[a] for a in often), rest[1]]).pvalue > 1e-3
    for slot, p in enumerate(marginals(law.prod(axis=2), 5, K)[0]):
        counts = Counter(slate.arms[slot] for slate in drawn)
        assert chisquare([counts[arm] for arm in arms], 3000 * p).pvalue > 1e-3


@pytest.mark.medium
def test_replay_names_a_slot_that_could_not_have_shown_its_candidates(tmp_path):
    publish(declared(tmp_path), apps.trained("lin_ts"))
    with Embedded("shop", var=tmp_path) as shop:
        decision = logged(shop, shop.select_slates(slates_of(1)))[0][0]
        decision.slate_so_far = orjson.dumps({"k": 2, "above": []}).decode()
        steps = replay(decision, load=lambda _: shop.host.selector.release, spool=shop.host.spool, spec=RewardSpec())
        assert (steps[-1].step, steps[-1].holds) == ("slate", False)
        assert steps[-1].detail.startswith("slot 0 of 2 may not show ")


@pytest.mark.medium
def test_constraints_release_makes_them_live_and_a_repeat_has_its_first_answer(tmp_path):
    w = opened(tmp_path)
    publish(w, apps.trained("lin_ts"))
    with Embedded("shop", var=tmp_path) as shop:
        asks = slates_of(20)
        free = shop.select_slates(asks)
    assert any(not {"news", "music"} <= {GENRE[arm] for arm in slate.arms} for slate in free)
    path = w.home / layout.APP_TOML
    path.write_text(path.read_text() + DECLARED)
    w = type(w)(w.settings)
    number = catalogue_release.release_catalogue(w, 1, by="operator", again=True, declared=True)
    assert number == 2
    held = bundle_store.manifest(w.store, number)["safeguards"]["slates"]
    assert held["minimums"] == [{"feature": "genre", "value": value, "least": 1} for value in ("news", "music")]
    with Embedded("shop", var=tmp_path) as shop:
        assert shop.release == 2
        assert [s.arms for s in shop.select_slates(asks)] == [s.arms for s in free], "these are on record"
        later = shop.select_slates(
            [SlateRequest(**asked(r), k=K) for r in apps.sample().requests(40, seed=5) if can_be_kept(r.arms)]
        )
    assert all({"news", "music"} <= {GENRE[arm] for arm in slate.arms} for slate in later)


@pytest.mark.medium
def test_a_log_of_before_is_judged_by_what_slots_may_show_now(tmp_path):
    """Slates of before anything was asked of them: encoded with the minimums of now, slot after slot."""
    w = opened(tmp_path)
    publish(w, apps.trained("uniform"))
    with Embedded("shop", var=tmp_path) as shop:
        asks = slates_of(30)
        decisions = [d for page in logged(shop, shop.select_slates(asks)) for d in page]
    rows = pl.DataFrame([d.to_row() | {"reward": 0.0, "reward_count": 0, "reward_at": 0} for d in decisions])
    assert set(rows["slate_so_far"]) == {""}
    app, spec = apps.sample(), AppSpec.read(declared(tmp_path / "now", UNLIKE + DECLARED).home / layout.APP_TOML)
    shuffled = rows.sample(fraction=1.0, shuffle=True, seed=1)
    path, rules = tmp_path / "rows", inline.ruled_out(spec, app.arms)
    dataset.write_log(path, shuffled, app.encoder, app.arms, rules)
    (log,) = dataset.read(path, app.encoder.catalogue(app.arms))
    of, marked = {d.event_id: d for d in decisions}, 0
    for row, event in enumerate(shuffled["event_id"]):
        page, _, slot = event.rpartition("/")
        above = [of[f"{page}/{i}"].arm for i in range(int(slot))]
        arms = list(of[event].arms)
        may = may_show(arms, above)
        expected = [arm not in may for arm in arms]
        assert log.batch.left_out[row, : len(arms)].tolist() == expected, (event, above)
        assert log.batch.price[row, : len(arms)].tolist() == prices(arms, above), (event, above)
        marked += any(expected)
    assert 10 < marked < 60
    pmf = as_served(apps.trained("lin_ts"), log.batch, 0.02)
    assert (pmf[log.batch.left_out] == 0.0).all()
    plain = as_served(apps.trained("lin_ts"), replace(log.batch, price=None), 0.02)
    assert np.abs(pmf - plain).max() > 0.05, "judged as unlike as it is served"


@pytest.mark.slow
def test_triton_shows_the_same_slates_as_ones_own_process(tmp_path, monkeypatch):
    """Two hosts of one store: the one serves by Triton, the other embeds."""
    store = tmp_path / "store"
    served = declared(tmp_path / "triton-host", UNLIKE + DECLARED, store=str(store))
    publish(served, apps.trained("neural_linear"), apps.trained("lin_ts"))
    embedding = declared(tmp_path / "own-host", UNLIKE + DECLARED, store=str(store))
    (embedding.home / layout.UNIT_KEY).write_text(served.unit_key)
    (embedding.home / layout.UNIT_KEY).chmod(0o600)
    monkeypatch.setenv("CROUPIER_STORE", str(store))
    asks = slates_of(40)
    with EndedAtOnce(served.home, ports=Ports.free()) as triton, Client(triton.grpc, deadline_ms=30_000) as client:
        by_triton = [client.select_slate(**asked(each), k=each.k) for each in asks[:20]]
        by_triton += decided(client.select_batch, named(asks[20:30]))  # as other clients may: slot after slot
        bad = replace(asks[0], context={"nothing": 3}, event_id="bad")
        refused, *rest = client.select_slates([bad, *asks[30:]])
        by_triton += rest
        assert (refused.slots, refused.error.partition(":")[0]) == ((), "context.nothing")
        assert client.select_slates(asks[:2]) == by_triton[:2], "a repeat"
        with pytest.raises(Refused, match="that can be shown"):
            client.select_slate(unit_id="u", context={}, arms=[a for a in GENRE if GENRE[a] != "news"], k=3)
    with Embedded("shop", var=tmp_path / "own-host") as shop:
        by_itself = shop.select_slates(asks)
    assert [s.arms for s in by_itself] == [s.arms for s in by_triton]
    assert {slot.role for slate in by_itself for slot in slate.slots} == {"champion", "candidate"}
    for own, other in zip(by_itself, by_triton, strict=True):
        assert {"news", "music"} <= {GENRE[arm] for arm in own.arms}
        for mine, theirs in zip(own.slots, other.slots, strict=True):
            np.testing.assert_allclose(mine.pmf, theirs.pmf, atol=1e-6)
            assert (mine.event_id, mine.dropped) == (theirs.event_id, theirs.dropped)
