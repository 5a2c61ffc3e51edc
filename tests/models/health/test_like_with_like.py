"""Arms come and go, and what is expected goes with them; a policy that chooses worse is named; so are rewards lost."""

from functools import cache

import numpy as np
import pytest

from croupier.features.utc import HOUR
from croupier.models.health.alike.choices import Choices
from croupier.models.health.alike.on_offer import exposure
from croupier.models.health.alike.streams import MEAN, changing, known, streams
from croupier.models.health.alike.wider import wider
from croupier.models.health.diagnosis import diagnose
from croupier.models.health.history import History
from croupier.models.health.residuals import Whole, due_sums
from croupier.models.health.season import View
from croupier.models.health.symptom import ACT
from tests.models.health.plain_hours import START, hour, hours

DAYS, LIMITS = 22, (0.0, 1.0)
AWAY = [("c", range(300, 372)), ("a", range(372, 444))]  # who was away before, and when


@cache
def sound():
    """The plain shop's hours; c, its best arm, and a were away for three days each."""
    rng = np.random.default_rng(7)
    away = {t: arm for arm, when in AWAY for t in when}
    return [hour(t, rng, gone=tuple(away[t]) if t in away else ()) for t in range(DAYS * 24)]


def shop(wrong, last):
    """The same, and then what is wrong for the last hours."""
    rng = np.random.default_rng(8)
    return History.of([*sound(), *(hour(DAYS * 24 + k, rng, **wrong) for k in range(last))])


@pytest.fixture(scope="module")
def before():
    """The sound days of a shop whose arms are always there."""
    return hours(DAYS, 7)


def late(before, wrong, last):
    rng = np.random.default_rng(99)
    return History.of([*before, *(hour(DAYS * 24 + k, rng, **wrong) for k in range(last))])


def test_a_decision_counts_what_the_arms_on_offer_earn_by_hand():
    """Strengths 1 and 3, rates 1 and 2 (times 0.1): both on offer earn .175, the weak alone .1, the strong alone .2."""
    view = View.of(History.of([hour(t, np.random.default_rng(1)) for t in range(16 * 24)]))
    T = len(view.history)
    offered = np.full((T, 2), 4e5)
    offered[100:150, 1] = offered[200:230, 0] = 0.0
    n = offered * [1.0, 3.0]
    n *= 4e5 / n.sum(axis=1, keepdims=True)
    n[-3:] = [3e5, 1e5]  # now the policy likes the weak one
    made = exposure(view, offered, n, n * [0.1, 0.2], prior=np.ones(2), worth=1.0)
    assert made.rate[1] / made.rate[0] == pytest.approx(2.0, rel=1e-4)
    beside = made.offer / made.offer[0]
    assert beside[[0, 120, 210]] == pytest.approx([1.0, 0.1 / 0.175, 0.2 / 0.175], rel=1e-3)
    assert beside[-3:] == pytest.approx(1.0), "what is chosen now does not change what is expected"
    assert made.shown[-1] / made.offer[-1] == pytest.approx(0.125 / 0.175, rel=1e-3)


@pytest.mark.medium
def test_an_arm_that_leaves_takes_its_rewards_along_and_nobody_is_alarmed():
    """Without c a decision earns .12, not .14, for two days and a half: seven times what an alarm needs, unless known."""
    calm = diagnose(shop({"gone": ("c",)}, 60))
    assert calm.level != ACT, calm.says
    view = View.of(shop({"gone": ("c",)}, 60))
    made, plain = streams(view, MEAN, LIMITS), view.history.sums["all"][""][:, :3]
    found, due = view.recent(plain)[-60:, 1].sum(), due_sums(view, made.sums["all", ""], made.whole)[-60:].sum()
    assert found / due == pytest.approx(1.0, abs=0.03)
    assert found / due_sums(view, plain, Whole(view, plain))[-60:].sum() < 0.9


@pytest.mark.medium
@pytest.mark.parametrize(
    ("cause", "wrong", "last"),
    [
        ("rewards_lost", {"gone": ("c",), "lost": 0.3}, 24),
        ("rewards_lost", {"lost": 0.15}, 60),
        ("reward_feed_arm", {"gone": ("c",), "arm_rates": [("b", 0.0)]}, 12),
        ("taste_flip", {"gone": ("c",), "device_rates": [("tv", 0.3)]}, 36),
        ("worse_choices", {"chosen": [("a", 6.0)]}, 48),
        ("worse_choices", {"gone": ("b",), "chosen": [("a", 6.0)]}, 48),
    ],
)
def test_what_is_wrong_is_named_all_the_same(cause, wrong, last):
    found = diagnose(shop(wrong, last))
    assert (found.level, found.cause) == (ACT, cause), [(s.level, s.says) for s in found.symptoms]


@pytest.mark.medium
def test_a_policy_that_chooses_worse_is_named_where_arms_stay_too(before):
    found = diagnose(late(before, {"chosen": [("a", 6.0)]}, 48))
    assert (found.level, found.cause) == (ACT, "worse_choices")
    assert found.says.startswith("arms that earn less are chosen, of the same offers: ")
    assert found.symptoms[0].number == pytest.approx(0.115 / 0.14, abs=0.03)
    assert diagnose(late(before, {"lost": 0.15}, 48)).cause == "rewards_lost"


def test_who_is_counted(before):
    """Where all arms stay, decisions count as they are. Where an arm came this week it is left out, and where most
    decisions are of such arms, nothing can be compared."""
    still = View.of(late(before, {}, 24))
    assert not changing(still)
    assert streams(still, MEAN, LIMITS).sums["all", ""][:, 0].tolist() == still.history.n.tolist()
    rng = np.random.default_rng(3)
    young = [hour(t, rng, gone=("c",)) for t in range(DAYS * 24)] + [hour(DAYS * 24 + t, rng) for t in range(24)]
    view = View.of(History.of(young))
    made = streams(view, MEAN, LIMITS)
    assert changing(view)
    assert known(view, made.sums) == ["a", "b"]
    arms = view.history.sums["arm"]
    assert made.sums["all", ""][:, 1] == pytest.approx(arms["a"][:, 1] + arms["b"][:, 1])
    week = {"chosen": [("b", 3.0)]}
    most = [hour(t, rng, **({"gone": ("b", "c")} if t < (DAYS - 7) * 24 else week)) for t in range(DAYS * 24)]
    view = View.of(History.of(most))
    assert known(view, streams(view, MEAN, LIMITS).sums) == []


def test_the_choices_that_explain_half_of_a_fall_are_its_cause():
    assert Choices(found=800, due=1000, chosen=800).explain
    assert Choices(found=800, due=1000, chosen=900).explain, "5.8 of 21.5 nats are left"
    assert not Choices(found=800, due=1000, chosen=980).explain
    assert not Choices(found=800, due=1000, chosen=1000).explain
    assert not Choices(found=800, due=1000, chosen=1050).explain


def test_streams_that_keep_what_a_week_gave_them_vary_more_than_chance():
    """An arm that wins 20 % more in one week and as much less in the next, beside one of which every hour is chance."""
    rng = np.random.default_rng(5)
    view = View.of(History.of([hour(t, rng) for t in range(22 * 24)]))
    T = len(view.history)
    level = np.where(np.arange(T) // 168 % 2, 0.12, 0.08)
    n = np.full(T, 900.0)

    def stream(p):
        won = rng.binomial(900, p, T).astype(float)
        return np.stack([n, won, won], axis=1)

    moved, calm = stream(level), stream(0.1)
    whole = Whole(view, calm)
    assert wider(view, [calm], whole) < 3.0
    # a week of 168 × 900 decisions: ±.02 of .1, with variance .09: 168 × 900 × .0004 / .09 for each of its two weeks
    assert wider(view, [moved], whole) == pytest.approx(2 * 168 * 900 * 0.0004 / 0.09, rel=0.25)


@pytest.mark.medium
def test_a_new_arm_without_any_reward_is_named_and_a_poor_one_is_not():
    """c is new, and is left out of what everybody should earn: without this nobody would miss its rewards."""
    rng = np.random.default_rng(11)
    before = [hour(t, rng, n=240, gone=("c",)) for t in range(DAYS * 24)]

    def found(hours, n=240, **wrong):
        after = [hour(DAYS * 24 + k, rng, n=n, **wrong) for k in range(hours)]
        return diagnose(History.of([*before, *after]))

    dead = found(6, arm_rates=[("c", 0.0)])
    assert (dead.level, dead.cause) == (ACT, "reward_feed_arm")
    assert dead.says.startswith("rewards of arm c do not come: none of its ")
    assert dead.symptoms[0].since == START + DAYS * 24 * HOUR
    shown = float(dead.says.partition("none of its ")[2].split()[0].replace(",", ""))
    assert dead.symptoms[0].nats == pytest.approx(shown * 0.1, rel=0.35), "a's rate, the least liked one's, that night"
    assert dead.symptoms[0].nats > dead.symptoms[0].needed > dead.needed - 1e-9
    assert found(1, n=120, arm_rates=[("c", 0.0)]).level != ACT, "too early to be sure"
    assert found(24).level != ACT
    assert found(24, arm_rates=[("c", 0.1)]).cause != "reward_feed_arm", "a tenth of what others earn is not nothing"
