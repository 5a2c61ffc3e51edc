"""Two approximate posteriors whose votes are the pmf: a bootstrap of any policy, and Monte-Carlo dropout.

Both are Thompson sampling with a finite number of draws fixed at training (Osband & Van Roy 2015; Gal & Ghahramani
2016): given those, the share of votes is exactly the probability of the choice.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self

import numpy as np

from croupier.features.batch import F64, Batch, Interactions, Left
from croupier.models import persistence
from croupier.models.bayesian import thompson
from croupier.models.bayesian.arrays import Array, on
from croupier.models.bayesian.neural_linear import NeuralLinear
from croupier.models.policy import Among, InlineArms, Policy, among, make


@dataclass(frozen=True)
class Resampled:
    """A re-iterable log in which every row counts Poisson(1) times: an online bootstrap (Oza & Russell 2001)."""

    log: Iterable[Interactions]
    seed: int
    member: int

    def __iter__(self) -> Iterator[Interactions]:
        for i, chunk in enumerate(self.log):
            times = np.random.default_rng([self.seed, self.member, i]).poisson(1.0, len(chunk))
            kept = chunk[times > 0]
            yield replace(kept, weight=kept.weight * times[times > 0])


class Bootstrap:
    """`members` policies of kind `base`, each learnt on its own resample; the pmf is the mean of theirs. With members
    that are greedy (the default: VW's greedy preset) that is the share of members that elect an arm."""

    name = "bootstrap"

    def __init__(self, *, base: str = "vw_cb_adf", members: int = 10, parameters: dict[str, Any] | None = None) -> None:
        if members < 1 or base == self.name:
            raise ValueError(f"bootstrap: found base={base!r}, members={members}, expected another policy, and ≥ 1")
        chosen = {"preset": "greedy"} if base == "vw_cb_adf" and parameters is None else parameters or {}
        self.parameters: dict[str, Any] = {"base": base, "members": members, "parameters": chosen}
        self.members: list[Policy] = [make(base, **chosen)] * members

    @property
    def inline_arms(self) -> InlineArms:
        """What the members do."""
        return self.members[0].inline_arms

    def pmf(self, batch: Batch) -> F64:
        """Returns each candidate's share of the members that it wins, (B, K)."""
        total = self.members[0].pmf(batch)
        for member in self.members[1:]:
            total = total + member.pmf(batch)
        return total / len(self.members)

    def scored(self, batch: Batch) -> Among:
        """See models/policy.py: the members', each scored once."""
        members = [among(member, batch) for member in self.members]

        def found(left: Left) -> F64:
            total = members[0](left)
            for member in members[1:]:
                total = total + member(left)
            return total / len(members)

        return found

    def learn(self, log: Iterable[Interactions], *, seed: int = 0) -> Self:
        """Trains every member on its own resample of the log."""
        learnt = type(self)(**self.parameters)
        learnt.members = [
            member.learn(Resampled(log, seed, i), seed=seed * 1000 + i) for i, member in enumerate(self.members)
        ]
        return learnt

    def save(self, folder: Path) -> None:
        """All members in one file each of numbers and of facts."""
        arrays: persistence.Arrays = {}
        facts: list[dict[str, Any]] = []
        for i, member in enumerate(self.members):
            with TemporaryDirectory() as scratch:
                member.save(Path(scratch))
                _, own, found = persistence.read(Path(scratch))
            arrays |= {f"{i}.{key}": value for key, value in own.items()}
            facts.append(found)
        persistence.write(folder, self.name, self.parameters, arrays, members=facts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads the policy from `folder`."""
        parameters, arrays, facts = persistence.read(folder)
        policy = cls(**parameters)
        policy.members = [
            _member(first, {key.partition(".")[2]: a for key, a in arrays.items() if key.startswith(f"{i}.")}, found)
            for i, (first, found) in enumerate(zip(policy.members, facts["members"], strict=True))
        ]
        return policy


def _member(kind: Policy, arrays: persistence.Arrays, facts: dict[str, Any]) -> Policy:
    with TemporaryDirectory() as scratch:
        kind.save(Path(scratch))  # for its name and parameters
        parameters, _, _ = persistence.read(Path(scratch))
        persistence.write(Path(scratch), kind.name, parameters, arrays, **facts)
        return type(kind).load(Path(scratch))


class MCDropout(NeuralLinear):
    """A network trained with dropout before its output, served with `draws` fixed dropout masks: each mask elects an
    arm. One output for all arms (heads "shared"); the Bayesian head is kept up to date but not asked."""

    name: ClassVar[str] = "mc_dropout"

    def __init__(self, *, dropout: float = 0.2, **parameters: Any) -> None:
        if not 0 < dropout < 1 or parameters.get("heads", "shared") != "shared":
            raise ValueError(
                f"mc_dropout: found dropout={dropout}, heads={parameters.get('heads')!r}, expected a "
                "share in (0, 1) and shared heads"
            )
        super().__init__(**parameters)
        self.parameters["dropout"] = dropout

    def _pmf(self, batch: Batch) -> F64:
        return thompson.pmf(batch, self.phi(batch), self._drawn())

    def _scored(self, batch: Batch) -> Among:
        return thompson.among(thompson.scores(batch, self.phi(batch), self._drawn()))

    def _drawn(self) -> Array:
        """(d, draws): the output's weights under each mask."""
        out, keep = self.state["out.weight"][0], 1 - self.parameters["dropout"]
        rng = np.random.default_rng([self.seed, 17])
        masks = rng.random((len(out), self.parameters["draws"])) < keep
        weights = out[:, None] * masks / keep
        weights = np.concatenate([weights, np.zeros((1, masks.shape[1]))])  # the output's constant moves no choice
        return on(weights.astype(np.float32), self.device)
