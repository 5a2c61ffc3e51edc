"""How often is the gate wrong about slates? Logs of a world whose truth is known, each judged by the gate's own code.

    nulls    the candidate shows other slates than the champion, worth exactly the same; or does so half of the time
    better   it is worth LIFT more than the champion, exactly
    logged   by the champion with a floor of uniform slates, or uniformly

The lift is judged by cascade-DR with the self-normalised pseudoinverse as the second opinion; beside it, on the same
logs, by item-wise (independent) IPS in cascade-DR's place."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from croupier.features.batch import F64
from croupier.features.spec import GateSpec
from croupier.models.gate.gate import PROMOTE, UNDECIDED, judge
from croupier.models.ope.self_tests import p_value
from croupier.models.simulation.slates.slate_world import ARMS, SLOTS, CascadeWorld
from croupier.models.slates.enumerated import Enumerated, pseudo, rounds
from croupier.models.slates.enumeration import foretold, unsupported
from croupier.models.slates.estimators import SlateEstimator, SlateRounds, cascade_dr, iips, sips
from croupier.models.slates.evidence import propensity_values, slate_evidence
from croupier.models.slates.policies import Mixed, PlackettLuce
from croupier.models.slates.policy import SlatePolicy

ROWS, LOOKS, LIFT, FLOOR, KNOWN, FOLDS = 5_000, 5, 0.06, 0.3, 0.3, 4
JUDGED: dict[str, SlateEstimator] = {"cascade_dr": cascade_dr, "standard_ips": sips, "independent_ips": iips}
NULLS, BETTER = ("equal", "half equal"), "better"
LOGGED = ("champion", "uniform")
MARK = "slate_rates"


@dataclass(frozen=True, kw_only=True)
class SlateLog:
    """n slates as candidate and champion see them, what the joint propensities foretell of each (n, 3), the columns of
    the self-test (n, k), and the candidate's mass where the log had none."""

    candidate: SlateRounds
    champion: SlateRounds
    divergence: F64
    tests: F64
    unsupported: float

    def decision(self, n: int, first: SlateEstimator) -> str:
        """The gate's decision after the first n slates."""
        found = slate_evidence(
            self.candidate[:n],
            self.champion[:n],
            divergence=self.divergence[:n],
            self_test=p_value(self.tests[:n]),
            unsupported=self.unsupported,
            declared=(0.0, 1.0),
            first=first,
        )
        return judge(found, GateSpec()).decision


def count(*, seeds: int, first: int = 0, step: Callable[[int], object] = lambda _: None) -> list[dict[str, Any]]:
    """One row a log and estimator: seed, logged, candidate, estimator, decision, and rows at which it was taken."""
    found = []
    for seed in range(first, first + seeds):
        found += list(_of_world(seed))
        step(1)
    return found


def _of_world(seed: int) -> Iterator[dict[str, Any]]:
    world = CascadeWorld.of(seed)
    champion = Enumerated(policy=world.policy(KNOWN), k=SLOTS)
    value = world.value(champion)
    candidates = {
        "equal": world.worth(value),
        "half equal": world.worth(value, beside=champion.policy),
        BETTER: world.worth((1.0 + LIFT) * value),
    }
    even = PlackettLuce(log_weights=np.zeros(champion.policy.mask.shape), mask=champion.policy.mask)
    logs: dict[str, SlatePolicy] = {"champion": Mixed.floor(champion.policy, FLOOR), "uniform": even}
    for number, logged in enumerate(LOGGED):
        log = Enumerated(policy=logs[logged], k=SLOTS)
        for which, (name, candidate) in enumerate(candidates.items()):
            rng = np.random.default_rng([seed, number, which])
            drawn = drawn_log(world, log, candidate, champion, rng)
            for judged, estimator in JUDGED.items():
                decision, rows = _decided(drawn, estimator)
                yield {
                    "seed": seed,
                    "logged": logged,
                    "worth": name,
                    "estimator": judged,
                    "decision": decision,
                    "rows": rows,
                }


def drawn_log(
    world: CascadeWorld, log: Enumerated, candidate: Enumerated, champion: Enumerated, rng: np.random.Generator
) -> SlateLog:
    """ROWS slates of this log, with reward models fitted on them."""
    group, slate, reward = world.draw(log, ROWS, rng)
    fold = np.arange(ROWS, dtype=np.int64) % FOLDS
    new, old = (
        rounds(log, policy, pseudo(log, policy), group=group, slate=slate, reward=reward, fold=fold)
        for policy in (candidate, champion)
    )
    return SlateLog(
        candidate=new,
        champion=old,
        divergence=foretold(log.joint, candidate.joint, champion.joint)[0][group],
        tests=propensity_values(new.logged, np.broadcast_to(ARMS - np.arange(SLOTS), reward.shape)),
        unsupported=float(unsupported(log.joint, candidate.joint).mean()),
    )


def _decided(log: SlateLog, estimator: SlateEstimator) -> tuple[str, int]:
    """The first look with an answer; the error holds over all of them."""
    for look in range(1, LOOKS + 1):
        n = ROWS * look // LOOKS
        decision = log.decision(n, estimator)
        if decision != UNDECIDED:
            return decision, n
    return UNDECIDED, ROWS


def rates(table: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The shares promoted: of null candidates by cascade-DR, and of better ones by it and by independent IPS."""
    return {
        "false_promotion": _promoted(table, "cascade_dr", NULLS),
        "power": _promoted(table, "cascade_dr", (BETTER,)),
        "power_independent_ips": _promoted(table, "independent_ips", (BETTER,)),
    }


def _promoted(table: Sequence[dict[str, Any]], estimator: str, names: Sequence[str], logged: str = "") -> float:
    asked = [
        r["decision"] == PROMOTE
        for r in table
        if r["estimator"] == estimator and r["worth"] in names and logged in ("", r["logged"])
    ]
    return float(np.mean(asked))


def markdown(table: Sequence[dict[str, Any]]) -> str:
    """Shares promoted, in %, of each kind of log and candidate."""
    runs = len({r["seed"] for r in table})
    head = f"| promoted, % of {runs} logs each | cascade-DR | standard IPS | item-wise IPS |\n|---|---|---|---|\n"
    lines = []
    for logged in LOGGED:
        for name in (*NULLS, BETTER):
            told = f"worth {LIFT:.0%} more" if name == BETTER else f"worth the same ({name})"
            shown = " | ".join(f"{100 * _promoted(table, e, (name,), logged):.0f}" for e in JUDGED)
            lines.append(f"| candidate {told}, logged by {logged} | {shown} |")
    return head + "\n".join(lines) + "\n"
