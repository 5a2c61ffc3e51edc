"""Neural-linear (Riquelme et al. 2018, "Deep Bayesian Bandits Showdown"): a network learns features φ of
[context; arm; pair], a Bayesian linear head with unknown noise is sure or unsure about them, Thompson votes act.

After each training the posterior is rebuilt from **all** rows, on standardised rewards: both matter (STATISTICS §5).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from features.batch import F32, F64, I64, Batch, Catalogue, Interactions
from models import exploration, network, state, thompson
from models.posterior import Posterior, Prior

PRIORS = {  # (a0, b0, precision), tuned on the Showdown's sets
    "default": (6.0, 6.0, 0.25),
    "binary": (38.0, 1.0, 1.5),
    "multi_valued": (12.0, 30.0, 23.0),
}


class NeuralLinear:
    """Thompson sampling on a learnt representation.

    `hidden` are the network's widths, `draws` the votes, `prior` one of PRIORS. The latest `holdout` share of the log
    stops training early. `warm_start` goes on from the current weights. `device` is where it trains and serves.
    """

    name = "neural_linear"

    def __init__(
        self, *, hidden: tuple[int, ...] = (50,), draws: int = 256, prior: str = "default", epochs: int = 30,
        patience: int = 3, batch_size: int = 128, learning_rate: float = 3e-3, holdout: float = 0.1,
        warm_start: bool = False, device: str = "cpu",
    ) -> None:  # fmt: skip
        if prior not in PRIORS:
            raise ValueError(f"prior: found {prior!r}, expected one of {', '.join(PRIORS)}")
        if draws < 1 or not hidden or min(hidden) < 1 or not 0 <= holdout < 1:
            raise ValueError(f"neural_linear: found hidden={hidden}, draws={draws}, holdout={holdout}, expected "
                             "positive widths and draws, and a holdout share in [0, 1)")  # fmt: skip
        self.parameters: dict[str, Any] = {
            "hidden": list(hidden), "draws": draws, "prior": prior, "epochs": epochs, "patience": patience,
            "batch_size": batch_size, "learning_rate": learning_rate, "holdout": holdout, "warm_start": warm_start,
            "device": device,
        }  # fmt: skip
        self.draws, self.device, self.seed = draws, device, 0
        self.network: network.Network | None = None
        self.head = Posterior.empty(hidden[-1] + 1, Prior(*PRIORS[prior]))
        self.reward_mean, self.reward_sd = 0.0, 1.0
        self._weights: Tensor | None = None
        self._arm_shares: WeakKeyDictionary[Catalogue, Tensor] = WeakKeyDictionary()

    def pmf(self, batch: Batch) -> F64:
        if self.network is None:
            return exploration.uniform(batch.mask)
        if self._weights is None:
            self._weights = thompson.draws(self.head, seed=self.seed, count=self.draws, device=self.device)
        return thompson.pmf(batch, self._phi, self._weights)

    @torch.no_grad()
    def _phi(self, batch: Batch) -> Tensor:
        net = self._trained()
        found = (batch.context.shape[1], batch.catalogue.features.shape[1], batch.pair.shape[2])
        if found != net.sizes:
            raise ValueError(f"batch: found (context, arm, pair) sizes {found}, expected {net.sizes} as in training; "
                             "serve with the encoder of the release")  # fmt: skip
        if batch.catalogue not in self._arm_shares:
            arms = network.tensor(batch.catalogue.features, self.device)
            self._arm_shares[batch.catalogue] = net.arm_share(arms)
        return net.phi(batch, self._arm_shares[batch.catalogue], self.device)

    def _trained(self) -> network.Network:
        if self.network is None:
            raise ValueError("neural_linear: found an untrained policy, expected learn() or load() first")
        return self.network

    # What the fast loop needs: φ of what was shown, the head to update with it, and the policy with that head.

    def features(self, batch: Batch, chosen: I64) -> F64:
        """φ (B, d) of the chosen candidates (B,), the constant last."""
        one = np.zeros_like(batch.mask)
        one[np.arange(len(batch)), chosen] = True
        shown = type(batch)(context=batch.context, arm=batch.arm, mask=one, pair=batch.pair, catalogue=batch.catalogue)
        return self._phi(shown).cpu().numpy().astype(np.float64)

    def standardise(self, reward: F64) -> F64:
        """The scale on which the head learns."""
        return (reward - self.reward_mean) / self.reward_sd

    def with_head(self, head: Posterior) -> Self:
        """This policy with another posterior; everything else is shared."""
        other = type(self)(**self.parameters)
        other.__dict__.update(self.__dict__, head=head, _weights=None)
        return other

    def learn(self, log: Iterable[Interactions], *, seed: int = 0) -> Self:
        learnt = type(self)(**self.parameters)
        sizes, rows, learnt.reward_mean, learnt.reward_sd = _survey(log)
        learnt.seed = seed
        rng, generator = np.random.default_rng([seed, rows]), torch.Generator().manual_seed(seed)
        net = network.Network(sizes, tuple(self.parameters["hidden"]), generator).to(self.device)
        if self.parameters["warm_start"] and self.network is not None:
            net.load_state_dict(self.network.state_dict())
        with network.one_thread():
            p = self.parameters
            network.fit(
                net, log, lambda chunk: learnt.standardise(chunk.reward).astype(np.float32),
                train_rows=rows - int(rows * p["holdout"]), epochs=p["epochs"], patience=p["patience"],
                batch_size=p["batch_size"], learning_rate=p["learning_rate"], device=self.device, rng=rng,
            )  # fmt: skip
            learnt.network = net
            for chunk in log:  # every row, with the final φ
                learnt.head = learnt.head.update(learnt._chosen(chunk), learnt.standardise(chunk.reward), chunk.weight)
        return learnt

    @torch.no_grad()
    def _chosen(self, chunk: Interactions) -> F32:
        x = self._trained()(network.tensor(network.chosen_features(chunk), self.device)).cpu().numpy()
        return np.concatenate([x, np.ones((len(x), 1), dtype=np.float32)], axis=1)

    def save(self, folder: Path) -> None:
        arrays: state.Arrays = {}
        facts: dict[str, Any] = {"seed": self.seed}
        if self.network is not None:
            arrays = {f"network.{key}": value.cpu().numpy() for key, value in self.network.state_dict().items()}
            arrays |= self.head.arrays()
            facts |= {"sizes": list(self.network.sizes), "reward_mean": self.reward_mean, "reward_sd": self.reward_sd}
        state.write(folder, self.name, self.parameters, arrays, step=self.head.step, **facts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        parameters, arrays, facts = state.read(folder)
        policy = cls(**parameters)
        policy.seed = facts["seed"]
        if arrays:
            d_u, d_a, d_p = facts["sizes"]
            net = network.Network((d_u, d_a, d_p), tuple(parameters["hidden"]), torch.Generator())
            net.load_state_dict({
                key.removeprefix("network."): torch.from_numpy(value)
                for key, value in arrays.items() if key.startswith("network.")
            })  # fmt: skip
            policy.network = net.to(policy.device).eval()
            policy.reward_mean, policy.reward_sd = facts["reward_mean"], facts["reward_sd"]
            policy.head = Posterior.restore(policy.head.prior, arrays, facts["step"])
        return policy


def _survey(log: Iterable[Interactions]) -> tuple[tuple[int, int, int], int, float, float]:
    """(sizes, rows, mean and standard deviation of the reward), in one pass; Chan's merge of moments."""
    sizes, n, mean, m2 = None, 0, 0.0, 0.0
    for chunk in log:
        batch = chunk.batch
        sizes = (batch.context.shape[1], batch.catalogue.features.shape[1], batch.pair.shape[2])
        if not (np.isfinite(chunk.reward).all() and np.isfinite(network.chosen_features(chunk)).all()):
            raise ValueError("interactions: found NaN or infinity in rewards or features, expected finite numbers")
        if k := len(chunk):
            delta, total = float(chunk.reward.mean()) - mean, n + k
            mean, m2 = mean + delta * k / total, m2 + float(chunk.reward.var()) * k + delta**2 * n * k / total
            n = total
    if sizes is None:
        raise ValueError("log: found no chunk, expected at least one (it may have no rows, but names the sizes)")
    sd = (m2 / n) ** 0.5 if n else 0.0
    return sizes, n, mean, sd if sd > 1e-9 else 1.0
