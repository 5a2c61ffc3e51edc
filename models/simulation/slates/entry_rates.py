"""How often is the scheduled gate wrong about slates? Logs of the cascade world, judged by the entry it is judged by.

Slots are decisions, drawn one after another with an exploration floor, as `select_slate` draws them, and put into the
columns that a training reads. Each log is judged by slate (models/slates/judged), and, beside that, with its slots as
single decisions. Candidates are worth the same as the champion, exactly, or LIFT more."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import brentq

from croupier.features.batch import F64, I64, Batch, Bool, Catalogue, Interactions
from croupier.features.spec import GateSpec
from croupier.models.baselines import Uniform
from croupier.models.exploration import with_floor
from croupier.models.gate.evaluation import Asked
from croupier.models.gate.gate import PROMOTE, UNDECIDED
from croupier.models.simulation.slates.slate_world import ARMS, CONTEXTS, SLOTS, CascadeWorld
from croupier.models.slates.enumerated import Enumerated
from croupier.models.slates.judged.evaluation import evaluate
from croupier.models.slates.policy import left

SLATES, LOOKS, LIFT, FLOOR, KNOWN = 5_000, 5, 0.06, 0.3, 0.3
SHARPEST = 4.0  # of the scores that know the users
NULL, BETTER = "equal", "better"
LOGGED, BY = ("champion", "uniform"), ("slate", "decision")
ENTRY_MARK = "entry_rates"


class SlotScores(Uniform):
    """A policy that is asked slot after slot: softmax of its scores (C, K) over what is left; contexts are one-hot."""

    def __init__(self, scores: F64) -> None:
        self.scores = scores

    def pmf(self, batch: Batch) -> F64:
        """The softmax over the batch's candidates."""
        scores = np.take_along_axis(self.scores[batch.context.argmax(axis=1)], batch.arm, axis=1)
        weight = np.where(batch.mask, np.exp(scores - scores.max(axis=1, keepdims=True)), 0.0)
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))


@dataclass(frozen=True, kw_only=True, eq=False)
class FlooredSlots:
    """The slates of such a policy as it is served, the floor mixed in at each slot."""

    scores: F64
    mask: Bool
    floor: float

    def rest(self, shown: I64) -> F64:
        """The pmf of the next slot over what is left."""
        over = left(self.mask, shown)
        found, some = np.zeros(over.shape), over.any(axis=1)
        batch = _batch(np.arange(len(over)), over)
        found[some] = with_floor(SlotScores(self.scores).pmf(batch[some]), over[some], self.floor)
        return found


def count(*, seeds: int, first: int = 0, step: Callable[[int], object] = lambda _: None) -> list[dict[str, Any]]:
    """One row a log and way of judging: seed, logged, worth, by, decision, slates at which it was taken."""
    found = []
    for seed in range(first, first + seeds):
        found += list(_of_world(seed))
        step(1)
    return found


def _of_world(seed: int) -> Iterator[dict[str, Any]]:
    world = CascadeWorld.of(seed)
    champion = _scores(world, world.noise, KNOWN)
    value = world.value(served(champion))
    noise = np.random.default_rng([seed, 191]).normal(size=world.noise.shape)
    candidates = {NULL: worth(world, noise, value), BETTER: worth(world, noise, (1.0 + LIFT) * value)}
    logs = {"champion": champion, "uniform": np.zeros(champion.shape)}
    for number, logged in enumerate(LOGGED):
        for which, (name, candidate) in enumerate(candidates.items()):
            rng = np.random.default_rng([seed, 19, number, which])
            log = drawn(world, served(logs[logged]), SLATES, rng)
            for by in BY:
                decision, slates = decided(log if by == "slate" else replace(log, slate=None), champion, candidate)
                known = {"seed": seed, "logged": logged, "worth": name, "by": by}
                yield known | {"decision": decision, "slates": slates}


def worth(world: CascadeWorld, noise: F64, value: float) -> F64:
    """Scores (C, K) of other tastes, of which just so much is true that they are worth this many clicks a slate, as
    served. Raises ValueError where none are."""
    known = brentq(
        lambda share: world.value(served(_scores(world, noise, share))) - value, -SHARPEST, SHARPEST, xtol=1e-10
    )
    return _scores(world, noise, float(known))


def _scores(world: CascadeWorld, noise: F64, known: float) -> F64:
    taste = np.log(world.attraction) - np.log(world.attraction).mean(axis=1, keepdims=True)
    return np.asarray(known * taste + max(0.0, 1.0 - abs(known)) * noise)


def served(scores: F64) -> Enumerated:
    """The slates of these scores (C, K), with the floor."""
    return Enumerated(policy=FlooredSlots(scores=scores, mask=np.ones(scores.shape, bool), floor=FLOOR), k=SLOTS)


def drawn(world: CascadeWorld, log: Enumerated, n: int, rng: np.random.Generator) -> Interactions:
    """n logged slates as a training reads them."""
    return rows_of(log, *world.draw(log, n, rng))


def rows_of(log: Enumerated, group: I64, number: I64, reward: F64) -> Interactions:
    """A row a slot, over the arms that are left: n slates of these numbers, shown to contexts (n,), with their rewards
    (n, k)."""
    shown, n = log.slates[number], len(group)
    rows, parts = np.arange(n), []
    for slot in range(SLOTS):
        pmf, over = log.rest[slot, group, number], left(np.ones((n, ARMS), bool), shown[:, :slot])
        chosen = shown[:, slot]
        parts.append(
            Interactions(
                batch=_batch(group, over),
                chosen=chosen,
                reward=reward[:, slot],
                propensity=pmf[rows, chosen],
                pmf=pmf,
                at=SLOTS * rows + slot,
                unit=rows.astype(np.uint64),
                weight=np.ones(n),
                slate=np.column_stack([rows, np.full(n, slot), np.full(n, SLOTS)]),
            )
        )
    return _in_order(parts)


def _in_order(parts: Sequence[Interactions]) -> Interactions:
    """The rows of all slots by their time."""
    batch = Batch(
        context=np.concatenate([part.batch.context for part in parts]),
        arm=np.concatenate([part.batch.arm for part in parts]),
        mask=np.concatenate([part.batch.mask for part in parts]),
        pair=np.concatenate([part.batch.pair for part in parts]),
        catalogue=parts[0].batch.catalogue,
    )
    names = ("chosen", "reward", "propensity", "pmf", "at", "unit", "weight", "slate")
    whole = Interactions(batch=batch, **{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})
    return whole[np.argsort(whole.at)]


CATALOGUE = Catalogue(ids=tuple(f"arm-{i}" for i in range(ARMS)), features=np.eye(ARMS, dtype=np.float32), digest="")


def _batch(group: I64, over: Bool) -> Batch:
    return Batch(
        context=np.eye(CONTEXTS, dtype=np.float32)[group],
        arm=np.tile(np.arange(ARMS), (len(group), 1)),
        mask=over,
        pair=np.zeros((*over.shape, 0), np.float32),
        catalogue=CATALOGUE,
    )


def decided(log: Interactions, champion: F64, candidate: F64) -> tuple[str, int]:
    """The first look with an answer, and its slates; the error holds over all of them."""
    policies, gate = {"champion": SlotScores(champion), "candidate": SlotScores(candidate)}, GateSpec()
    for look in range(1, LOOKS + 1):
        n = SLATES * look // LOOKS
        asked = Asked(declared=(0.0, 1.0), often=True)
        found = evaluate(policies, log[: SLOTS * n], champion="champion", floor=FLOOR, gate=gate, asked=asked)
        verdict = found.policies["candidate"].verdict
        if verdict is not None and verdict.decision != UNDECIDED:
            return verdict.decision, n
    return UNDECIDED, SLATES


def entry_rates(table: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The shares promoted by the scheduled gate, of null candidates and of better ones; and with slots as decisions."""
    return {
        "false_promotion_by_entry": _promoted(table, "slate", NULL),
        "power_by_entry": _promoted(table, "slate", BETTER),
        "false_promotion_by_decision": _promoted(table, "decision", NULL),
        "power_by_decision": _promoted(table, "decision", BETTER),
    }


def _promoted(table: Sequence[dict[str, Any]], by: str, name: str, logged: str = "") -> float:
    asked = [
        r["decision"] == PROMOTE for r in table if r["by"] == by and r["worth"] == name and logged in ("", r["logged"])
    ]
    return float(np.mean(asked))


def entry_markdown(table: Sequence[dict[str, Any]]) -> str:
    """Shares promoted, in %, of each kind of log and candidate."""
    runs = len({r["seed"] for r in table})
    head = f"| promoted, % of {runs} logs each | by slate | slots as decisions |\n|---|---|---|\n"
    lines = []
    for logged in LOGGED:
        for name in (NULL, BETTER):
            told = f"worth {LIFT:.0%} more" if name == BETTER else "worth the same"
            shown = " | ".join(f"{100 * _promoted(table, by, name, logged):.0f}" for by in BY)
            lines.append(f"| candidate {told}, logged by {logged} | {shown} |")
    return head + "\n".join(lines) + "\n"
