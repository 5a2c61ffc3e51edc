"""What every policy with a Bayesian linear head shares: φ → pmf, the fast loop, forgetting, and being kept.

A subclass says what φ is (`phi`, `_phi_chosen`) and how it is learnt (`_fit`). The posterior is always rebuilt from
all rows of the log, on rewards standardised to mean 0 and sd 1.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from croupier.features.batch import F64, I64, Batch, Interactions
from croupier.models import exploration, persistence
from croupier.models.bayesian import bounded, scored_once
from croupier.models.bayesian.arrays import Array, host
from croupier.models.bayesian.heads import ArmHeads, Head, SharedHead
from croupier.models.bayesian.posterior import Phi, Posterior, Prior
from croupier.models.bayesian.survey import Latest, Sizes, Survey
from croupier.models.bayesian.threads import one_thread
from croupier.models.bayesian.whole_requests import by_request
from croupier.models.policy import Among, InlineArms

PRIORS = {  # (a0, b0, precision), tuned on the data sets of Riquelme, Tucker & Snoek 2018
    "default": (6.0, 6.0, 0.25),
    "binary": (38.0, 1.0, 1.5),
    "multi_valued": (12.0, 30.0, 23.0),
}
ITEMS = 1 << 24  # numbers held at once: rows are scored in slices so that rows · K · draws stays below


class Bayesian(ABC):
    """Parameters all have: `heads` "shared" or "per_arm", `explore` "thompson" or "ucb" (with `alpha`), `draws`
    (votes of a shared head), `prior`, `half_life` (rows after which a row counts half; 0: never forget), `window`
    (learn from the latest rows only; 0: all) and `device`."""

    name: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]] = ("shared", "per_arm")

    def __init__(
        self,
        *,
        heads: str,
        explore: str,
        alpha: float,
        draws: int,
        prior: str,
        half_life: float,
        window: int,
        device: str,
        **more: Any,
    ) -> None:
        for label, found, known in (
            ("heads", heads, self.kinds),
            ("explore", explore, ("thompson", "ucb")),
            ("prior", prior, tuple(PRIORS)),
        ):
            if found not in known:
                raise ValueError(f"{label}: found {found!r}, expected one of {', '.join(known)}")
        if draws < 1 or min(alpha, half_life, window) < 0:
            raise ValueError(
                f"{self.name}: found draws={draws}, alpha={alpha}, half_life={half_life}, "
                f"window={window}, expected draws ≥ 1 and the others ≥ 0"
            )
        if not available(device):
            raise ValueError(f"device: found {device!r}, which this machine does not have; expected 'cpu'")
        self.parameters: dict[str, Any] = {
            "heads": heads, "explore": explore, "alpha": alpha, "draws": draws, "prior": prior,
            "half_life": half_life, "window": window, "device": device, **more,
        }  # fmt: skip
        self.device, self.seed = device, 0
        self.sizes: Sizes | None = None  # None: untrained
        self.heads: Head = self._empty_heads(1)
        self.reward_mean, self.reward_sd = 0.0, 1.0

    @property
    def inline_arms(self) -> InlineArms:
        """A shared head scores any arm by its features; a head per arm knows nothing of one that nobody has seen."""
        return "explored" if self.parameters["heads"] == "per_arm" else "scored"

    @abstractmethod
    def phi(self, batch: Batch) -> Array:
        """φ (n, d) of every candidate, in the order of the mask."""

    @abstractmethod
    def _phi_chosen(self, chunk: Interactions) -> Phi:
        """φ (B, d) of what was shown, in bulk."""

    @abstractmethod
    def _fit(self, log: Iterable[Interactions], survey: Survey, before: Self) -> int:
        """Learn φ, and return its length."""

    def _empty_heads(self, d: int) -> Head:
        prior = Prior(*PRIORS[self.parameters["prior"]])
        if self.parameters["heads"] == "per_arm":
            return ArmHeads(prior=prior, d=d, arms={})
        return SharedHead(Posterior.empty(d, prior))

    def pmf(self, batch: Batch) -> F64:
        """Returns the probability of each candidate, (B, K)."""
        if self.sizes is None:
            return exploration.uniform(batch.mask)
        self.check(batch)
        batch = batch if batch.price is None else replace(batch, price=batch.price / self.reward_sd)
        rows = self._at_once(batch)
        if 0 < len(batch) <= rows:
            return self._pmf(batch)
        parts = [self._pmf(batch[slice(i, i + rows)]) for i in range(0, len(batch), rows)]
        return np.concatenate(parts) if parts else np.zeros(batch.mask.shape)

    def _at_once(self, batch: Batch) -> int:
        """Requests that are scored at once."""
        draws: int = self.parameters["draws"]
        return max(1, ITEMS // max(1, self._wide(batch) * draws))

    def scored(self, batch: Batch) -> Among | None:
        """See models/policy.py."""
        if self.sizes is None:
            return scored_once.uniform
        self.check(batch)
        if len(batch) > self._at_once(batch):
            return None
        made, sd = self._scored(batch), self.reward_sd
        return lambda left: made(left if left.price is None else replace(left, price=left.price / sd))

    def _scored(self, batch: Batch) -> Among:
        return scored_once.by_heads(self.heads, self.parameters, batch, self.phi(batch), self.seed)

    def _wide(self, batch: Batch) -> int:
        """Numbers that a request holds at once, per draw."""
        return batch.mask.shape[1]

    def _pmf(self, batch: Batch) -> F64:
        p, phi = self.parameters, self.phi(batch)
        if p["explore"] == "ucb":
            return self.heads.ucb(batch, phi, alpha=p["alpha"], device=self.device)
        return self.heads.thompson(batch, phi, seed=self.seed, draws=p["draws"], device=self.device)

    def check(self, batch: Batch) -> None:
        found = (batch.context.shape[1], batch.catalogue.features.shape[1], batch.pair.shape[2])
        if found != self.sizes:
            raise ValueError(
                f"batch: found (context, arm, pair) sizes {found}, expected {self.sizes} as in training; "
                "serve with the encoder of the release"
            )

    def features(self, batch: Batch, chosen: I64) -> F64:
        """φ (B, d) of the chosen candidates (B,), the constant last."""
        self.check(batch)
        one = np.zeros_like(batch.mask)
        one[np.arange(len(batch)), chosen] = True
        shown = type(batch)(context=batch.context, arm=batch.arm, mask=one, pair=batch.pair, catalogue=batch.catalogue)
        return host(self.phi(shown)).astype(np.float64)

    def standardise(self, reward: F64) -> F64:
        """The scale on which the head learns."""
        return (reward - self.reward_mean) / self.reward_sd

    def within(self, batch: Batch, confidence: float) -> tuple[F64, F64]:
        """See models/policy.py."""
        return bounded.unbounded(batch) if self.sizes is None else bounded.within(self, batch, confidence)

    @property
    def head(self) -> Posterior:
        """The shared posterior (A, b, step). ValueError where every arm has its own: use `heads`."""
        if not isinstance(self.heads, SharedHead):
            raise ValueError(f"{self.name}: found a head per arm, expected a shared one; use `heads` and `update`")
        return self.heads.posterior

    def with_head(self, head: Posterior) -> Self:
        """This policy with another shared posterior; everything else is shared."""
        return self.with_heads(SharedHead(head))

    def with_heads(self, heads: Head) -> Self:
        """This policy with other heads; everything else is shared."""
        other = type(self)(**self.parameters)
        other.__dict__.update(self.__dict__, heads=heads)
        return other

    def update(self, log: Iterable[Interactions]) -> Self:
        """Learn these rows on top of all that is known, without learning φ again: a step of the fast loop."""
        if self.sizes is None:
            raise ValueError(f"{self.name}: found an untrained policy, expected learn() before update()")
        heads = self.heads
        for chunk in log:
            heads = self._learn_chunk(heads, chunk)
        return self.with_heads(heads)

    def _learn_chunk(self, heads: Head, chunk: Interactions) -> Head:
        half_life, n, weight = self.parameters["half_life"], len(chunk), chunk.weight
        arms = (chunk.shown[0], chunk.batch.catalogue.ids)
        keep = 0.5 ** (n / half_life) if half_life else 1.0
        if half_life:
            weight = weight * 0.5 ** (np.arange(n - 1, -1, -1) / half_life)
        phi, reward = self._phi_chosen(chunk), self.standardise(chunk.reward)
        if isinstance(heads, SharedHead):
            phi, reward, weight = by_request(chunk, phi, reward, weight)
        return heads.update(phi, arms, reward, weight, keep=keep)

    def learn(self, log: Iterable[Interactions], *, seed: int = 0) -> Self:
        """Returns a policy that was trained on the log."""
        learnt, survey, window = type(self)(**self.parameters), Survey.of(log), self.parameters["window"]
        if window and survey.rows > window:
            log = Latest(log, survey.rows - window)
            survey = Survey.of(log)
        learnt.seed, learnt.sizes = seed, survey.sizes
        learnt.reward_mean, learnt.reward_sd = survey.mean, survey.sd
        with one_thread():
            learnt.heads = learnt._empty_heads(learnt._fit(log, survey, self))
            for chunk in log:  # every row, with the final φ
                learnt.heads = learnt._learn_chunk(learnt.heads, chunk)
        return learnt

    def _arrays(self) -> persistence.Arrays:
        """What a subclass has learnt besides the head."""
        return {}

    def _restore(self, arrays: persistence.Arrays, facts: dict[str, Any]) -> int:
        """The inverse of `_arrays`; the length of φ."""
        raise NotImplementedError

    def _facts(self) -> dict[str, Any]:
        return {}

    def save(self, folder: Path) -> None:
        """Writes parameters and arrays into `folder`."""
        facts: dict[str, Any] = {"seed": self.seed, "sizes": None}
        arrays: persistence.Arrays = {}
        if self.sizes is not None:
            arrays = self._arrays() | self.heads.arrays()
            facts |= {
                "sizes": list(self.sizes),
                "reward_mean": self.reward_mean,
                "reward_sd": self.reward_sd,
                "arms": self.heads.arm_ids(),
                "step": self.heads.step,
                **self._facts(),
            }
        persistence.write(folder, self.name, self.parameters, arrays, **facts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads the policy from `folder`. Raises ValueError where the folder is not whole."""
        parameters, arrays, facts = persistence.read(folder)
        if not available(parameters["device"]):  # trained on a GPU, served without one
            parameters["device"] = "cpu"
        policy = cls(**parameters)
        policy.seed = facts["seed"]
        if facts["sizes"] is not None:
            d_u, d_a, d_p = facts["sizes"]
            policy.sizes = (d_u, d_a, d_p)
            policy.reward_mean, policy.reward_sd = facts["reward_mean"], facts["reward_sd"]
            d, prior = policy._restore(arrays, facts), Prior(*PRIORS[parameters["prior"]])
            policy.heads = (
                ArmHeads.restore(prior, d, arrays, facts["arms"], facts["step"])
                if parameters["heads"] == "per_arm"
                else SharedHead.restore(prior, arrays, facts["step"])
            )
        return policy


def available(device: str) -> bool:
    """True if torch can compute on this device here."""
    if not device.startswith("cuda"):
        return device in {"cpu", "cpu:0"}
    import torch

    return torch.cuda.is_available()
