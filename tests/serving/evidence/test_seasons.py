"""Whole seasons: which they are, what an hour says, and what is no longer taken for better."""

import numpy as np
import pytest

from croupier.features.spec import RolloutSpec
from croupier.features.utc import HOUR
from croupier.serving.evidence import betting, seasons
from croupier.serving.evidence.seasons import Scored, Season, season_rows
from croupier.serving.release import rollout_state
from croupier.serving.simulation.season.evidence import WholeSeasons
from croupier.serving.simulation.season.world import SCORE, SIDE, DayWorld

DAY = 24 * HOUR


def rows_of(counts, *, start=0):
    """Counts (hours, 4) by SIDE and SCORE as one row a decision, each of a unit of its own, spread over their hours."""
    n = counts.sum(axis=1).astype(int)
    kind = np.concatenate([np.repeat(np.arange(4), row.astype(int)) for row in counts])
    at = np.concatenate([start + h * HOUR + (HOUR * np.arange(m)) // max(m, 1) for h, m in enumerate(n)])
    unit = np.arange(len(kind), dtype=np.uint64) + np.uint64(start // HOUR * 1_000_000)
    return Scored(at=at.astype(np.int64), candidate=SIDE[kind], score=SCORE[kind], unit=unit)


def joined(*parts):
    return Scored(
        **{name: np.concatenate([getattr(p, name) for p in parts]) for name in ("at", "candidate", "score", "unit")}
    )


def expected(rates, n1, n0):
    """Counts (hours, 4) as they are on average: rates (2, hours) of the candidate's and champion's decisions."""
    k = np.round(np.array([n1 * rates[0], n0 * rates[1]]))
    return np.stack([n1 - k[0], k[0], n0 - k[1], k[1]], axis=1)


def test_whole_seasons_begin_with_their_stage_and_a_begun_one_does_not_count():
    state = rollout_state.start(1, now=100, stages=(0.05, 0.5, 1.0), shadow=True)
    state = rollout_state.advance(state, "x", now=130, by="t")
    state = rollout_state.hold(state, "late", now=140, by="t")
    state = rollout_state.resume(state, now=150, by="t")
    state = rollout_state.carried(state, 2, "arms", now=151, by="t")
    state = rollout_state.advance(state, "y", now=155, by="t")
    found = [(s.stage, s.share, s.start, s.end) for s in seasons.whole(state, 10, until=176)]
    assert found == [("5%", 0.05, 130, 140), ("5%", 0.05, 140, 150), ("50%", 0.5, 155, 165), ("50%", 0.5, 165, 175)]
    assert len(seasons.whole(state, 10, until=174)) == 3, "a season is known when its last decision has matured"
    assert seasons.whole(state, 30, until=176) == []


def test_an_hour_by_hand():
    """Two of four decisions are the candidate's at share 0.2: w = 0.16 / 0.25, cut to 2/3; ȳ = 1/2."""
    side, score = np.array([True, True, False, False]), np.array([1.0, 1.0, 0.0, 0.0])
    xi = seasons.within_hour(side, score, np.ones(4), 0.2, 1.0)
    np.testing.assert_allclose(xi, [1 / 6, 1 / 6, 1 / 6, 1 / 6])
    even = seasons.within_hour(side, score, np.array([1.0, 1.0, 4.0, 4.0]), 0.2, 1.0)  # p is the share: w = 1
    assert (even * [1, 1, 4, 4]).sum() == pytest.approx(10 * 0.16 * (1.0 - 0.0)), "n s(1 − s) times the difference"
    assert not seasons.within_hour(side[:2], score[:2], np.ones(2), 0.2, 1.0).any(), "one side alone says nothing"


def test_counts_and_rows_are_the_same_evidence():
    """What the simulator adds up by counts is what the watch finds in rows: two days at 20 %, 24 hours each."""
    world, rng, spec = (
        DayWorld(per_day=12_000, effect=-0.1, swing=0.2, level=0.5, activity=0.1),
        np.random.default_rng(1),
        RolloutSpec(),
    )
    whole, parts, share = WholeSeasons(1, spec), [], np.array([0.2])
    for day in range(2):
        counts = [world.hour(np.array([h]), 24 * day + h, share, rng).count[0] for h in range(24)]
        for h, count in enumerate(counts):
            whole.count[0, h] += count
        whole.end(np.array([0]), share)
        parts.append(rows_of(np.array(counts), start=day * DAY))
    both = [Season(stage="20%", share=0.2, start=d * DAY, end=(d + 1) * DAY) for d in range(2)]
    found = season_rows(joined(*parts), both, width=1.0)
    assert found.bets.dispersion == 1.0
    assert betting.mix(whole.harm)[0] == pytest.approx(found.bets.log_wealth(0.0, harm=True)[-1], rel=1e-9)
    for m, margin in enumerate(whole.margins):
        delta = -margin * np.abs(found.bets.baseline)
        assert betting.mix(whole.gain[m])[0] == pytest.approx(found.bets.log_wealth(delta, harm=False)[-1], rel=1e-9)
    gain, squares, all_of_it = whole.latest[:, 0]
    assert seasons.above(gain, squares, 0.15 * all_of_it) == pytest.approx(found.latest(0.15), rel=1e-9)


@pytest.mark.medium
@pytest.mark.parametrize(("first", "second", "mean"), [(0.2, -0.2, 0.0), (0.25, -0.35, -0.05)])
def test_better_by_day_and_worse_by_night_is_no_better_over_a_day(first, second, mean):
    """On average counts, 60,000 decisions, half of them the candidate's: after half a day it is "better", after all of it it is not."""
    effect = np.repeat([first, second], 12)
    counts = expected(0.1 * np.array([1 + effect, np.ones(24)]), np.full(24, 1250.0), np.full(24, 1250.0))
    rows = rows_of(counts)
    half = rows.cut(slice(0, 30_000))
    by_look = betting.bets(half.candidate, np.full(30_000, 0.5), half.score, half.unit, width=1.0)
    assert by_look.lower(0.02) > 0, "the look at noon, which stages were decided by"
    found = season_rows(rows, [Season(stage="50%", share=0.5, start=0, end=DAY)], width=1.0)
    assert found.differences()[0]["difference"] == pytest.approx(0.1 * mean, abs=1e-3)
    assert found.bets.lower(0.02) < 0
    assert found.latest(0.0) < seasons.AGREES


def test_units_that_come_more_often_at_the_peak_are_no_better_for_it():
    tide = 1 + 0.5 * np.sin(2 * np.pi * np.arange(24) / 24)
    more = 2500.0 * (1 + 0.3 * (tide - 0.5))
    rows = rows_of(expected(0.1 * np.array([tide, tide]), np.round(more), np.full(24, 2500.0)))
    pooled = rows.score[rows.candidate].mean() - rows.score[~rows.candidate].mean()
    found = season_rows(rows, [Season(stage="50%", share=0.5, start=0, end=DAY)], width=1.0)
    assert pooled > 0.002, "2 % of the clicks"
    assert found.differences()[0]["difference"] == pytest.approx(0.0, abs=2e-4)


def test_per_unit_a_unit_counts_once_an_hour():
    """One candidate's unit clicks 400 times; 100 units of either side decide twice and click once."""
    side = np.repeat([True, True, False], [400, 200, 200])
    score = np.concatenate([np.ones(400), np.tile([0.0, 1.0], 200)])
    unit = np.concatenate([np.zeros(400), 1 + np.arange(400) // 2]).astype(np.uint64)
    rows = Scored(at=np.arange(800, dtype=np.int64), candidate=side, score=score, unit=unit)
    season = Season(stage="50%", share=0.5, start=0, end=800)
    alone = [season_rows(rows, [season], width=1.0, per_unit=per) for per in (False, True)]
    by_hour = [seasons.hours_of(800, 0.5), seasons.hours_of(800, 0.5)]
    assert by_hour == [8, 8]
    sums = [each.bets.xi.sum() / (0.25 * n) for each, n in zip(alone, (800, len(alone[1].bets.xi)), strict=True)]
    assert len(alone[1].bets.xi) == 4 + 200, "the heavy unit in each of four hours, the others once"
    assert abs(sums[1]) < 0.02
    assert seasons.by_unit(rows).score[:3].tolist() == [1.0, 0.5, 0.5]


def test_a_season_in_which_nobody_came_says_nothing():
    empty = Scored(
        at=np.zeros(0, np.int64), candidate=np.zeros(0, bool), score=np.zeros(0), unit=np.zeros(0, np.uint64)
    )
    found = season_rows(empty, [Season(stage="5%", share=0.05, start=0, end=10)], width=1.0)
    assert found.bets.log_wealth(0.0, harm=False)[-1] == 0.0
    assert found.latest(0.0) < seasons.AGREES
