"""All at once: exploration toward a candidate, no dominated arm, floors of all and of segments, exploration of a segment.
What is logged is what was drawn from, it keeps what is declared, and it is derived again from the log."""

import numpy as np
import pytest

from croupier import Embedded
from croupier.features.spec import RewardSpec
from croupier.models.exploration import with_floor_toward
from croupier.serving.decide.replay import replay
from croupier.serving.release.exploration.toward import Toward
from tests.serving import apps
from tests.serving.constrained import GENRE
from tests.serving.constraints.test_safety import dominated, safe
from tests.serving.embedded.shop import publish

FLOOR, SHARE, SEGMENT = 0.02, 0.5, 0.4
LIMITS = """
[[constraints]]
name = "news"
arm.genre = ["news"]
floor = 0.1

[[constraints]]
name = "music in Austria"
when.country = ["AT"]
arm.genre = ["music"]
floor = 0.3

[[constraints]]
name = "tablets explore"
kind = "exploration"
when.device = ["tablet"]
floor = 0.4
"""
N = 1200


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """Decisions of a champion and a candidate that both bound what arms are worth: requests, decisions, the release,
    what the champion's bounds rule out, and a spool to replay from."""
    var = tmp_path_factory.mktemp("toward")
    champion, other = apps.trained("lin_ts"), apps.trained("neural_linear")
    toward = Toward(policy=other, share=SHARE, features="abc", until=17)
    publish(safe(var, LIMITS), champion, toward=toward)
    requests = apps.sample().requests(N)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_PATIENCE_MS", "60000")  # of a busy machine
        shop = Embedded("shop", var=var)
    with shop:
        answers = [a for at in range(0, N, 50) for a in shop.select_batch(requests[at : at + 50])]
        release, spool = shop.host.selector.release, shop.host.spool
        found = spool.find([a.event_id for a in answers])
        batch = shop.host.selector.encoded(requests)
        decisions = [found[a.event_id] for a in answers]
        yield requests, decisions, release, batch, dominated(champion, batch), spool


def padded(decisions, width):
    return np.array([[*d.pmf, *[0.0] * (width - len(d.pmf))] for d in decisions])


def floors(request, batch, i):
    """By hand: (K,) which candidates have a floor, and the groups' floors in this request."""
    genres = [GENRE[arm] for arm in request.arms]
    due = {"news": 0.1} | ({"music": 0.3} if request.context["country"] == "AT" else {})
    due = {genre: least for genre, least in due.items() if genre in genres}
    has = np.zeros(batch.mask.shape[1], bool)
    has[: len(genres)] = [genre in due for genre in genres]
    return has, {genre: (least, np.array([g == genre for g in genres])) for genre, least in due.items()}


@pytest.mark.slow
def test_logged_propensities_are_exact_and_floors_are_kept(lived):
    requests, decisions, release, batch, out, _ = lived
    assert release.toward is not None
    assert {d.role for d in decisions} == {"champion"}
    assert {d.fallback_reason for d in decisions} == {""}
    p = padded(decisions, batch.mask.shape[1])
    np.testing.assert_allclose(p, release.exploration.pmf(release.champion, batch), atol=1e-12)
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-12)
    left_out, tablets, austria = 0, [], 0
    for i, (request, d) in enumerate(zip(requests, decisions, strict=True)):
        assert d.propensity == d.pmf[d.arms.index(d.arm)] > 0
        has, due = floors(request, batch, i)
        gone = out[i] & ~has
        left_out += int(gone.sum())
        assert (p[i][gone] == 0).all(), "a dominated arm without a floor is never drawn"
        for genre, (least, mine) in due.items():
            assert p[i][: len(mine)][mine].sum() >= least - 1e-9, (genre, request.context)
        stays = batch.mask[i] & ~gone
        epsilon = SEGMENT if request.context["device"] == "tablet" else FLOOR
        K, most = int(stays.sum()), sum(least for least, _ in due.values())
        free = max(int((stays & ~has).sum()), 1)
        alike = min(1 / K, (1 - most) / free, *(least / mine.sum() for least, mine in due.values()))
        assert p[i][stays].min() >= (1 - SHARE) * epsilon * alike - 1e-9
        austria += "music" in due
        if request.context["device"] == "tablet":
            tablets.append(p[i][stays].min() * K)
    assert left_out > 300
    assert austria > 100
    assert np.median(tablets) > 5 * FLOOR * (1 - SHARE), "a segment's exploration is seen"


@pytest.mark.slow
def test_it_is_drawn_as_it_is_logged(lived):
    """The mean of 1/p of what was drawn counts the candidates that can be drawn; frequencies are the propensities."""
    _, decisions, _, batch, _, _ = lived
    p = padded(decisions, batch.mask.shape[1])
    drawn = np.array([d.propensity for d in decisions])
    expected, spread = (p**2).sum(axis=1), (p**3).sum(axis=1) - (p**2).sum(axis=1) ** 2
    assert abs((drawn - expected).sum()) < 4.5 * np.sqrt(spread.sum())
    for arm in ("reel-00", "reel-05", "reel-10"):
        mine = np.array([sum(q for a, q in zip(d.arms, d.pmf, strict=True) if a == arm) for d in decisions])
        hit = np.array([d.arm == arm for d in decisions])
        assert abs((hit - mine).sum()) < 4.5 * np.sqrt((mine * (1 - mine)).sum())


@pytest.mark.slow
def test_it_goes_toward_the_candidate_and_not_to_whom_the_champion_rules_out(lived):
    """By hand, where no limit has to be kept: the same as both policies' pmfs over what the bounds leave."""
    requests, decisions, release, batch, _, _ = lived
    p, width = padded(decisions, batch.mask.shape[1]), batch.mask.shape[1]
    left = release.limits.safe(release.champion, batch)
    one, other = release.champion.pmf(left), release.toward.policy.pmf(left)
    epsilon = np.array([[SEGMENT if r.context["device"] == "tablet" else FLOOR] for r in requests])
    mixed = with_floor_toward(one, other, left.mask, epsilon, SHARE)
    kept = np.array(
        [
            all(mixed[i][: len(mine)][mine].sum() >= least for least, mine in floors(r, batch, i)[1].values())
            for i, r in enumerate(requests)
        ]
    )
    assert 0.1 < kept.mean() < 0.9, "some are moved by limits, some are not"
    np.testing.assert_allclose(p[kept], mixed[kept], atol=1e-12)
    alone = release.exploration.alone(release.champion, batch)
    assert alone.shape == (N, width)
    assert (np.abs(p - alone).sum(axis=1) > 1e-3).mean() > 0.5, "most decisions explore otherwise than uniformly"
    gap = np.where(left.mask, other - one, 0.0) ** 2
    price = [np.where(q > 0, gap / np.maximum(q, 1e-12), 0.0).sum(axis=1).mean() for q in (p, alone)]
    assert price[0] < price[1], "the log tells the two apart in fewer rows"


@pytest.mark.slow
def test_each_is_derived_again_from_the_log_and_a_change_of_it_is_found(lived):
    _, decisions, release, _, _, spool = lived
    for decision in decisions[::40]:
        steps = replay(decision, load=lambda _: release, spool=spool, spec=RewardSpec())
        assert all(s.holds for s in steps), steps
    told = next(d for d in decisions if d.context["country"] == "AT" and "music" in map(GENRE.get, d.arms))
    told.context["country"] = "BR"
    steps = replay(told, load=lambda _: release, spool=spool, spec=RewardSpec())
    assert not all(s.holds for s in steps)
