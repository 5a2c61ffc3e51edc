"""The Policy protocol, and the registry of policies by name.

A policy has two verbs and a noun: `pmf(batch)`, `learn(log)`, and a folder it is saved in. It returns the whole pmf,
so the logged propensity is exact by construction, whatever the algorithm. Nothing is pickled: arrays go to
safetensors, the rest to `policy.json`, which names the class through this registry.
"""

import importlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, Protocol, Self, cast, runtime_checkable

from croupier.features.batch import F64, Batch, Interactions, Left
from croupier.features.store import layout

POLICIES = {
    "uniform": "croupier.models.baselines:Uniform",
    "fixed_arm": "croupier.models.baselines:FixedArm",
    "beta_bernoulli": "croupier.models.baselines:BetaBernoulli",
    "vw_cb_adf": "croupier.models.vw.policy:BilinearPolicy",
    "neural_linear": "croupier.models.bayesian.neural_linear:NeuralLinear",
    "lin_ts": "croupier.models.bayesian.linear:LinTS",
    "lin_ucb": "croupier.models.bayesian.linear:LinUCB",
    "bootstrap": "croupier.models.bayesian.ensemble:Bootstrap",
    "mc_dropout": "croupier.models.bayesian.ensemble:MCDropout",
    "demand_ts": "croupier.models.pricing.demand:DemandTS",
}


InlineArms = Literal["scored", "explored", "refused"]


class Policy(Protocol):
    """Frozen after construction: `learn` returns a new policy and mutates nothing.

    `inline_arms` declares what it does with arms that requests bring along: "scored" from their features, "explored" as
    an arm that nobody has seen, or "refused": then no release of an app that has such arms can be made of it."""

    name: str  # its key in POLICIES

    @property
    def inline_arms(self) -> InlineArms:
        """What it does with arms that requests bring along."""
        ...

    def pmf(self, batch: Batch) -> F64:
        """Returns (B, K): rows sum to 1, zero where masked, independent of batch mates, deterministic."""
        ...

    def learn(self, log: Iterable[Interactions], *, seed: int = 0) -> Self:
        """Train on a re-iterable of chunks in time order (a list of one is fine): it is passed over more than once,
        so that no learner needs the whole log in memory. Same log and seed, same bytes."""
        ...

    def save(self, folder: Path) -> None:
        """Write `policy.json` (`{"policy": name, …}`) and `*.safetensors` into an existing folder."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads from `folder` what `save` wrote. Raises ValueError where it is not whole."""


@runtime_checkable
class Primable(Protocol):
    """A policy whose training can begin with what other rows have taught it of features, but not of rewards."""

    def primed(self, earlier: Iterable[Interactions], *, seed: int = 0) -> Policy:
        """Returns the policy whose `learn` begins there."""
        ...


class Bounded(Protocol):
    """A policy that bounds what each candidate is worth."""

    def within(self, batch: Batch, confidence: float) -> tuple[F64, F64]:
        """Returns lower and upper bounds (B, K), which hold for all candidates of a request at once with probability
        `confidence` by the policy's posterior; infinite where nothing was learnt. Their unit is the policy's own."""
        ...


Among = Callable[[Left], F64]  # the pmf (n, k) over what is left of some requests


@runtime_checkable
class ScoredOnce(Protocol):
    """A policy that scores each arm by itself, so that what is left of a batch needs no scores of its own."""

    def scored(self, batch: Batch) -> Among | None:
        """Returns what gives, of one scoring of the batch, the pmf over any part of each request's candidates, less the
        part's prices: to the bit that of `pmf` for the part alone. None where this batch is not to be scored so."""
        ...


def among(policy: Policy, batch: Batch) -> Among:
    """Returns what gives the policy's pmf over what is left of a batch: of one scoring where it scores each arm by
    itself, else, and where the batch has prices of its own, by asking it again."""
    found = policy.scored(batch) if isinstance(policy, ScoredOnce) and batch.price is None else None
    return (lambda left: policy.pmf(left.batch(batch))) if found is None else found


def policy_class(name: str) -> type[Policy]:
    """Returns the class of a policy's name in POLICIES. Raises ValueError naming those there are."""
    if name not in POLICIES:
        raise ValueError(f"policy: found {name!r}, expected one of {', '.join(sorted(POLICIES))}")
    module, _, attribute = POLICIES[name].partition(":")
    return cast("type[Policy]", getattr(importlib.import_module(module), attribute))


def make(name: str, **parameters: Any) -> Policy:
    """An untrained policy. Unknown parameters raise TypeError naming them."""
    return policy_class(name)(**parameters)


def load(folder: Path, *, whole: bool = True) -> Policy:
    """The saved policy of any kind. The release's digests must have been verified first (serving/release/bundle.py).
    Not `whole`: the policy alone, where it reads the columns of an earlier encoder (earlier.py)."""
    if whole and (folder / layout.EARLIER_COLUMNS).exists():
        module = importlib.import_module("croupier.models.earlier")
        return cast("Policy", module.ReadsEarlier.load(folder))
    head = json.loads((folder / layout.POLICY_FILE).read_text())
    return policy_class(head["policy"]).load(folder)
