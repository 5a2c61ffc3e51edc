"""Wealth, intervals, the design effect and the watch's mixture equal their plain forms."""

import numpy as np
import pytest

from croupier.serving.evidence import betting, hold_out
from tests.serving.evidence import plain_bets as plain

BLOCK = 50  # of BLOCK = 1000, so that a plain loop sees several


@pytest.fixture(params=["clicks", "money", "one reward", "short"])
def log(request, monkeypatch):
    """(rows, units, width, bets): clicks at .1, money between -1 and 3, all rewards alike, and less than a block."""
    monkeypatch.setattr(betting, "BLOCK", BLOCK)
    rng, n = np.random.default_rng(7), 30 if request.param == "short" else 4 * BLOCK + 13
    share = rng.choice([0.05, 0.2, 0.5], size=n)
    assigned = rng.random(n) < share
    reward = {
        "clicks": (rng.random(n) < 0.1).astype(float), "money": rng.uniform(-1.0, 3.0, n),
        "one reward": np.full(n, 0.4), "short": rng.random(n),
    }[request.param]  # fmt: skip
    width = 4.0 if request.param == "money" else 1.0
    unit = rng.integers(0, n // 3, n).astype(np.uint64)
    rows = list(zip(assigned.astype(int).tolist(), share.tolist(), reward.tolist(), strict=True))
    return rows, unit.tolist(), width, betting.bets(assigned, share, reward, unit, width=width)


@pytest.mark.parametrize("harm", [True, False])
@pytest.mark.parametrize("delta", [0.0, 0.07, -0.3])
def test_wealth(log, harm, delta):
    rows, _, width, bets = log
    effects = betting.HARM_EFFECTS if harm else betting.GAIN_EFFECTS
    expected = plain.wealth(rows, effects, delta, harm=harm, width=width, block=BLOCK)
    bets = _undispersed(bets)
    found = bets.log_wealth(delta, harm=harm, ends=range(1, len(rows) + 1))
    np.testing.assert_allclose(found, np.log(expected), atol=1e-9)
    np.testing.assert_allclose(bets.log_wealth(delta, harm=harm), np.log(expected[-1:]), atol=1e-9)
    half = len(rows) // 2
    np.testing.assert_allclose(bets.head(half).log_wealth(delta, harm=harm), np.log(expected[half - 1]), atol=1e-9)


def _undispersed(bets):
    from dataclasses import replace

    return replace(bets, dispersion=1.0)


def test_the_design_effect_divides_the_logarithm_of_each_bet(log):
    rows, units, width, bets = log
    if max(abs(bets.xi)) > 1e-12:  # without any spread there is nothing to divide
        assert bets.dispersion == pytest.approx(plain.design_effect(rows, units, width=width, block=BLOCK), rel=1e-9)
    alone = [plain.wealth(rows, [e], 0.0, harm=True, width=width, block=BLOCK)[-1] for e in betting.HARM_EFFECTS]
    expected = np.mean([money ** (1 / bets.dispersion) for money in alone])
    np.testing.assert_allclose(bets.log_wealth(0.0, harm=True)[-1], np.log(expected), atol=1e-9)


@pytest.mark.parametrize("alpha", [0.05, 0.3])
def test_the_ends_of_the_interval(log, alpha):
    rows, _, width, bets = log
    bets = _undispersed(bets)

    def refuted(delta, harm):
        effects = betting.HARM_EFFECTS if harm else betting.GAIN_EFFECTS
        return plain.wealth(rows, effects, delta, harm=harm, width=width, block=BLOCK)[-1] >= 1 / alpha

    assert bets.upper(alpha) == pytest.approx(plain.edge(lambda d: refuted(d, True), -width, width, steps=12), abs=2e-3)
    assert bets.lower(alpha) == pytest.approx(
        plain.edge(lambda d: refuted(d, False), width, -width, steps=12), abs=2e-3
    )


@pytest.mark.parametrize("days", [1, 3, 7])
def test_the_watch_s_mixture(log, days):
    rows, _, width, bets = log
    bets, at = _undispersed(bets), np.sort(np.random.default_rng(1).integers(0, 4 * hold_out.DAY, len(rows)))
    each = [plain.wealth(rows, [e], 0.0, harm=True, width=width, block=BLOCK) for e in betting.HARM_EFFECTS]
    money = [[1.0, *path] for path in each]
    firsts = [next((i for i, t in enumerate(at) if t >= day * hold_out.DAY), None) for day in range(1, days)]
    begun = sorted({i for i in firsts if i is not None})
    expected = plain.mixture([path[-1] for path in money], [[path[i] for path in money] for i in begun], days)
    assert hold_out.harm_wealth(bets, at, 0, float(days)) == pytest.approx(np.log(expected), abs=1e-9)
