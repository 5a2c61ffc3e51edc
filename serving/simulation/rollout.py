"""How often does the controller err, and how fast is it right? Its own rules, run on worlds of known truth.

Many rollouts climb side by side, a look each 2,000 decisions. What is simulated is the traffic; the bets are those of
evidence/betting.py and the steps those of release/stage_rule.py. `croupier simulate rollout` prints the table that
serving/ROLLOUT.md keeps.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from croupier.features.batch import F64, I64, Bool
from croupier.features.spec import RolloutSpec
from croupier.features.spec_values import NO_SEASON
from croupier.features.utc import SECOND
from croupier.serving.evidence import betting, sample_ratio
from croupier.serving.evidence.guardrails import SLOW_SHARE
from croupier.serving.release import rollout_state
from croupier.serving.release.stage_rule import RolloutEvidence, next_stage, stage_margin

LOOK = 2000  # decisions
LOOKS = 150  # 300,000 decisions, after which an undecided rollout goes back to the champion


@dataclass(frozen=True, kw_only=True, eq=False)
class LookRows:
    """One look of R rollouts as rows (R, m): who saw the candidate, the score, and how many decisions were so."""

    candidate: Bool
    score: F64
    count: F64


class RolloutWorld(Protocol):
    """Traffic whose candidate is worth `effect` (relative) more than its champion."""

    @property
    def mean(self) -> float:
        """True reward per decision of the champion."""
        ...

    def look(self, share: F64, rng: np.random.Generator) -> LookRows:
        """LOOK decisions of R rollouts at these shares (R,)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Bernoulli:
    """Clicks at a fixed rate: nothing to adjust for, the hardest case for an estimator that would."""

    effect: float = 0.0
    mean: float = 0.10

    def __post_init__(self) -> None:
        if not 0 <= self.mean * (1 + self.effect) <= 1:
            best = 1 / self.mean - 1
            raise ValueError(f"effect: found {self.effect}, expected one between -1 (no clicks) and {best:g} (all)")

    def look(self, share: F64, rng: np.random.Generator) -> LookRows:
        """Draws what one look sees, for each run's share."""
        n1 = rng.binomial(LOOK, share)
        k1, k0 = rng.binomial(n1, self.mean * (1 + self.effect)), rng.binomial(LOOK - n1, self.mean)
        count = np.stack([n1 - k1, k1, LOOK - n1 - k0, k0], axis=1).astype(np.float64)
        shape = count.shape
        return LookRows(
            candidate=np.broadcast_to([True, True, False, False], shape),
            score=np.broadcast_to([0.0, 1.0, 0.0, 1.0], shape),
            count=count,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class RolloutOutcome:
    """What became of each rollout (R,): the look at which it was aborted for harm or reached 100 % (0: it did not), and
    the decisions that the candidate got."""

    aborted: I64
    reached: I64
    exposed: F64

    @property
    def runs(self) -> int:
        """The number of runs."""
        return len(self.aborted)

    def aborted_by(self, decisions: int) -> float:
        """Returns the share of runs that were aborted within so many decisions."""
        return float(np.mean((self.aborted > 0) & (self.aborted * LOOK <= decisions)))

    def reached_by(self, decisions: int) -> float:
        """Returns the share of runs that reached everybody within so many decisions."""
        return float(np.mean((self.reached > 0) & (self.reached * LOOK <= decisions)))

    def median_abort(self) -> float:
        """Decisions until half of all rollouts were aborted; inf if fewer were."""
        return float(np.median(np.where(self.aborted > 0, self.aborted * float(LOOK), np.inf)))

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON."""
        return {
            "runs": self.runs,
            "aborted": float((self.aborted > 0).mean()),
            "median_abort": self.median_abort(),
            "reached_100": float((self.reached > 0).mean()),
            "median_reached": self.median_reached(),
            "candidate_decisions": float(self.exposed.mean()),
        }

    def median_reached(self) -> float:
        """Decisions until half of all rollouts reached everybody; inf if fewer did."""
        return float(np.median(np.where(self.reached > 0, self.reached * float(LOOK), np.inf)))


class Wealth:
    """The bets of R rollouts, carried from look to look; a candidate worse by `allowed`, or by the share `swing` of the
    reward, does no harm."""

    def __init__(self, runs: int, spec: RolloutSpec, *, allowed: float = 0.0, swing: float = 0.0) -> None:
        self.spec, self.margins, self.allowed, self.swing = spec, sorted(set(spec.margins)), allowed, swing
        self.harm = np.zeros((len(betting.HARM_EFFECTS), runs))
        self.gain = np.zeros((len(self.margins), len(betting.GAIN_EFFECTS), runs))
        self.sums = np.zeros((3, runs))  # decisions, scores, squares

    def add(self, look: LookRows, share: F64, rows: I64) -> None:
        """Adds one look of the rollouts `rows`, at these shares."""
        own = np.stack([(look.count * look.score**p).sum(axis=1) for p in range(3)])
        n, total, squares = self.sums[:, rows] if self.sums[0].any() else own  # the first look is its own baseline
        mean = total / n
        scale = betting.bet_scale(mean, squares / n - mean**2, 1.0)[:, None]
        s = share[:, None]
        lost = -self.allowed - self.swing * np.abs(mean[:, None])
        xi, v = (look.candidate - s) * np.clip(look.score - mean[:, None], -1.0, 1.0), s * (1 - s)
        for k, effect in enumerate(betting.HARM_EFFECTS):
            steps = betting.increments(xi, v, scale, effect, lost, harm=True)
            self.harm[k, rows] += (look.count * steps).sum(axis=1)
        for m, margin in enumerate(self.margins):
            delta = -margin * mean[:, None]
            for k, effect in enumerate(betting.GAIN_EFFECTS):
                steps = betting.increments(xi, v, scale, effect, delta, harm=False)
                self.gain[m, k, rows] += (look.count * steps).sum(axis=1)
        self.sums[:, rows] += own

    def harmful(self) -> Bool:
        """True for each run whose wealth refutes "no harm"."""
        return np.asarray(betting.mix(self.harm) >= np.log(1 / self.spec.alpha_harm))

    def safe(self, margin: F64) -> Bool:
        """True for each rollout (R,) that is shown to be safe, at its own margin."""
        shown = np.stack([betting.mix(gain) >= np.log(1 / self.spec.alpha) for gain in self.gain])
        return np.asarray(shown[np.searchsorted(self.margins, margin), np.arange(len(margin))])


def simulate(
    world: RolloutWorld,
    spec: RolloutSpec,
    *,
    runs: int,
    looks: int = LOOKS,
    seed: int = 0,
    progress: Callable[[int], object] = int,
) -> RolloutOutcome:
    """Rollouts of one world under the controller, each until it is decided or `looks` have passed. `progress` is told
    how many looks are over."""
    rng = np.random.default_rng([seed, runs])
    own = {"max_seconds": float(looks), "min_decisions": LOOK, "season": NO_SEASON}  # time is counted in decisions here
    spec = spec.model_copy(update=own)
    states = [rollout_state.start(1, now=0, stages=spec.stages) for _ in range(runs)]
    wealth, entered = Wealth(runs, spec), np.zeros(runs, np.int64)
    aborted, reached, exposed = np.zeros(runs, np.int64), np.zeros(runs, np.int64), np.zeros(runs)
    for now in range(1, looks + 1):
        rows = np.array([i for i, state in enumerate(states) if state.running], np.int64)
        if not len(rows):
            progress(looks - now + 1)
            break
        progress(1)
        share = np.array([states[i].share for i in rows])
        look = world.look(share, rng)
        exposed[rows] += np.where(look.candidate, look.count, 0).sum(axis=1)
        wealth.add(look, share, rows)
        harm, safe = wealth.harmful(), wealth.safe(np.array([stage_margin(s, spec) for s in states]))
        for i in rows:
            evidence = RolloutEvidence(
                decisions=int(now - entered[i]) * LOOK, safe=bool(safe[i]), harms=("reward",) if harm[i] else ()
            )
            new = next_stage(states[i], evidence, spec, now=now * SECOND)
            entered[i] = now if new.share != states[i].share else entered[i]
            states[i] = new
            aborted[i], reached[i] = now * harm[i], now * (new.share == 1.0)
    return RolloutOutcome(aborted=aborted, reached=reached, exposed=exposed)


EFFECTS = {0.0: 100, -0.30: LOOKS, -0.60: LOOKS, -0.10: LOOKS, -0.02: LOOKS, 0.10: LOOKS}  # looks at each


def characteristics(
    world: Callable[[float], RolloutWorld],
    spec: RolloutSpec,
    *,
    runs: int,
    seed: int = 0,
    progress: Callable[[int], object] = int,
) -> dict[str, Any]:
    """The numbers that a rollout is judged by, on a family of worlds indexed by relative effect."""
    aa, harm30, harm60, worse10, worse2, better10 = (
        simulate(world(effect), spec, runs=runs, looks=looks, seed=seed + i, progress=progress)
        for i, (effect, looks) in enumerate(EFFECTS.items())
    )
    lost = 0.30 * world(0.0).mean  # rewards per decision, of the -30 % candidate
    return {
        "runs": runs,
        "aa_abort_rate": aa.aborted_by(200_000),
        "aa_reaches_100": aa.reached_by(200_000),
        "harm30_caught": harm30.aborted_by(40_000),
        "harm30_median_decisions": harm30.median_abort(),
        "harm60_caught_by_8000": harm60.aborted_by(8_000),
        "worse_reaches_100": max(w.reached_by(300_000) for w in (harm30, harm60, worse10, worse2)),
        "better10_reaches_100": better10.reached_by(300_000),
        "better10_median_decisions": better10.median_reached(),
        "harm30_lost_rewards": float(harm30.exposed.mean() * lost),
        "harm30_lost_by_a_switch": LOOK * LOOKS * lost,
    }


def sample_ratio_characteristics(*, runs: int, seed: int = 0, loss: float = 0.10) -> dict[str, dict[str, float]]:
    """Returns by share how often unit counts alarm in 100 looks when nothing is wrong, and by 100,000 decisions when
    `loss` of the candidate's logs are lost, with the median."""
    rng, found = np.random.default_rng([seed, runs, 2]), {}
    for share in (0.05, 0.20, 0.50):
        came = rng.binomial(LOOK, share, (2, runs, 100))
        champion = (LOOK - came).cumsum(axis=2)
        logged = np.stack([came[0], rng.binomial(came[1], 1 - loss)]).cumsum(axis=2)
        alarm = sample_ratio.log_bayes_factor(logged, champion, share) >= np.log(1 / sample_ratio.ALPHA)
        first = np.where(alarm[1].any(axis=1), (alarm[1].argmax(axis=1) + 1) * float(LOOK), np.inf)
        found[f"{share:.0%}"] = {"aa_alarm_rate": float(alarm[0].any(axis=1).mean()),
                                 "caught_by_100000": float((first <= 100_000).mean()),
                                 "median_decisions": float(np.median(first))}  # fmt: skip
    return found


def latency_characteristics(spec: RolloutSpec, *, runs: int, seed: int = 0, usual: float = 0.005) -> dict[str, Any]:
    """Returns by share how often the latency guardrail alarms in 100 looks, where `usual` of the champion's decisions
    are slow and of the candidate's as many; as many and the 1 % that a p99 allows; and 5 % more (with the median)."""
    rng, found = np.random.default_rng([seed, runs, 3]), {}
    for share in (0.05, 0.20, 0.50):
        worlds = (Bernoulli(mean=usual, effect=more / usual) for more in (0.0, SLOW_SHARE, 0.05))
        aa, limit, slow = (_slowness_found(world, share, spec, runs=runs, rng=rng) for world in worlds)
        found[f"{share:.0%}"] = {"aa_alarm_rate": float((aa <= 200_000).mean()),
                                 "limit_alarm_rate": float((limit <= 200_000).mean()),
                                 "slow5_caught_by_40000": float((slow <= 40_000).mean()),
                                 "slow5_median_decisions": float(np.median(slow))}  # fmt: skip
    return found


def _slowness_found(
    world: RolloutWorld, share: float, spec: RolloutSpec, *, runs: int, rng: np.random.Generator
) -> F64:
    """Returns (R,) decisions until the alarm; inf where there was none in 100 looks. Its rewards of 1 are the slow
    decisions; two guardrails share the error, fallbacks and latency."""
    wealth, rows = Wealth(runs, spec.model_copy(update={"margins": ()}), allowed=SLOW_SHARE), np.arange(runs)
    first, level = np.full(runs, np.inf), np.log(2 / spec.alpha_guardrails)
    for now in range(1, 101):
        look = world.look(np.full(runs, share), rng)
        wealth.add(replace(look, score=-look.score), np.full(runs, share), rows)
        first = np.where(betting.mix(wealth.harm) >= level, np.minimum(first, now * float(LOOK)), first)
    return first
