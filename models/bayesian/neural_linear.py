"""Neural-linear (Riquelme et al. 2018, "Deep Bayesian Bandits Showdown"): a network learns features φ, a Bayesian
linear head with unknown noise is sure or unsure about them, Thompson sampling acts.

With one shared head φ is that of [context; arm; pair], so a new arm is served from its features; with a head per arm
it is that of [context; pair] alone, which learns faster where arms are few and have nothing in common.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self
from weakref import WeakKeyDictionary

import numpy as np

from croupier.features.batch import F32, I64, Batch, Catalogue, Interactions
from croupier.features.engines.chosen import engine_of
from croupier.features.settings import Settings
from croupier.features.store import layout
from croupier.models import persistence
from croupier.models.bayesian.arrays import Array, of
from croupier.models.bayesian.base import Bayesian
from croupier.models.bayesian.networks.layers import Layers, arrays_of
from croupier.models.bayesian.posterior import Phi
from croupier.models.bayesian.survey import Sizes, Survey


class NeuralLinear(Bayesian):
    """Thompson sampling on a learnt representation; see `Bayesian` for the parameters of the head.

    `hidden` are the network's widths. The latest `holdout` share of the log stops training early. `warm_start` goes on
    from the current weights. On a long log `batch_size` and `learning_rate` grow so that an epoch takes about
    `epoch_steps` steps (network.py; 0: they never grow). `device` ("cpu", "cuda") is where it trains and serves;
    `precision` "bfloat16" halves the width of its products while training, which pays on a GPU and wide layers. With a
    folder `checkpoint`, training is kept there after every epoch, and a training that died goes on to the very bytes it
    would have had. `workers` processes train a wide network together, each on its share of every mini-batch: on this
    machine, or on a Ray cluster with CROUPIER_ENGINE=ray (networks/parallel.py).
    """

    name: ClassVar[str] = "neural_linear"

    def __init__(
        self,
        *,
        hidden: tuple[int, ...] = (50,),
        heads: str = "shared",
        explore: str = "thompson",
        alpha: float = 1.0,
        draws: int = 256,
        prior: str = "default",
        half_life: float = 0.0,
        window: int = 0,
        epochs: int = 30,
        patience: int = 3,
        batch_size: int = 128,
        epoch_steps: int = 200,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.0,
        holdout: float = 0.1,
        warm_start: bool = False,
        precision: str = "float32",
        checkpoint: str = "",
        device: str = "cpu",
        workers: int = 1,
    ) -> None:
        if precision not in {"float32", "bfloat16"}:
            raise ValueError(f"precision: found {precision!r}, expected 'float32' or 'bfloat16'")
        if not hidden or min(hidden) < 1 or not 0 <= holdout < 1:
            raise ValueError(
                f"neural_linear: found hidden={hidden}, holdout={holdout}, expected positive widths and a "
                "holdout share in [0, 1)"
            )
        if batch_size < 1 or not learning_rate >= 0 or epoch_steps < 0:
            raise ValueError(
                f"neural_linear: found batch_size={batch_size}, learning_rate={learning_rate}, "
                f"epoch_steps={epoch_steps}, expected at least 1, and numbers ≥ 0"
            )
        super().__init__(
            heads=heads,
            explore=explore,
            alpha=alpha,
            draws=draws,
            prior=prior,
            half_life=half_life,
            window=window,
            device=device,
            hidden=list(hidden),
            epochs=epochs,
            patience=patience,
            batch_size=batch_size,
            epoch_steps=epoch_steps,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            holdout=holdout,
            warm_start=warm_start,
            precision=precision,
            **_several(workers, device),
        )
        self.checkpoint = checkpoint  # says where, not what: no part of what is learnt or saved
        self.state: persistence.Arrays = {}  # of the trained network, by torch's names
        self.layers: Layers | None = None  # of which it serves
        self.begins = False  # whether what `learn` makes begins with this one's weights, as `primed` asks
        self.outputs: tuple[str, ...] = ()  # arms that have an output of their own while training
        self._arm_shares: WeakKeyDictionary[Catalogue, Array] = WeakKeyDictionary()

    def _inputs(self, sizes: Sizes) -> Sizes:
        return sizes if self.parameters["heads"] == "shared" else (sizes[0], 0, sizes[2])

    def primed(self, earlier: Iterable[Interactions], *, seed: int = 0) -> Self:
        """Returns this policy with its network trained on `earlier` rows, those from before a change of the users: the
        training of what `learn` returns begins there, and its head holds the rows that it is given, and no others.
        Tastes turn; what tells one user, and one arm, from another is learnt already."""
        start = self.learn(earlier, seed=seed)
        start.begins, start.checkpoint = True, self.checkpoint
        return start

    def _fit(self, log: Iterable[Interactions], survey: Survey, before: Self) -> int:
        from croupier.models.bayesian.networks import network, parallel  # torch: what serves on a CPU has no need of it

        p = self.parameters
        self.outputs = survey.arms if p["heads"] == "per_arm" else ()
        begun = p["warm_start"] or before.begins
        start = network.Network.starting(
            self._inputs(survey.sizes),
            tuple(p["hidden"]),
            max(len(self.outputs), 1),
            seed=self.seed,
            dropout=p.get("dropout", 0.0),
            state=before.state if begun and before.outputs == self.outputs else {},
            device=self.device,
        )
        keys = (
            "epochs", "patience", "batch_size", "epoch_steps", "learning_rate", "weight_decay", "holdout", "precision",
        )  # fmt: skip
        checkpoint = self._checkpoint(before.checkpoint, survey, arrays_of(start.state_dict()))
        how = network.Training(**{key: p[key] for key in keys})
        seed = (self.seed, survey.rows)
        kept: dict[str, Any] = {"rows": survey.rows, "how": how, "seed": seed, "checkpoint": checkpoint}
        if "workers" in p:
            engine = engine_of(Settings())
            parallel.fit_together(start, log, self._examples, engine=engine, workers=p["workers"], **kept)
        else:
            network.fit(start, log, self._examples, device=self.device, **kept)
        return self._serves(arrays_of(start.state_dict()), survey.sizes)

    def _serves(self, state: persistence.Arrays, sizes: Sizes) -> int:
        """From here on φ is that of a network with this state; returns its length."""
        self.state, self._arm_shares = state, WeakKeyDictionary()
        self.layers = Layers.of(state, self._inputs(sizes), self.device)
        return int(self.parameters["hidden"][-1]) + 1

    def _checkpoint(self, folder: str, survey: Survey, begins: persistence.Arrays) -> Path | None:
        """Named after all that the training depends on, where it begins included, so that no other training goes on
        from it."""
        if not folder:
            return None
        where = hashlib.sha256(b"".join(value.tobytes() for value in begins.values())).hexdigest()
        facts = json.dumps([self.name, self.parameters, self.seed, asdict(survey), where], sort_keys=True)
        return Path(folder) / f"{hashlib.sha256(facts.encode()).hexdigest()[:24]}{layout.CHECKPOINT}"

    def _examples(self, chunk: Interactions) -> tuple[F32, F32, I64]:
        target = self.standardise(chunk.reward).astype(np.float32)
        which = {arm: i for i, arm in enumerate(self.outputs)}
        by_row = np.array([which.get(arm, 0) for arm in chunk.batch.catalogue.ids], dtype=np.int64)
        return self._x(chunk), target, by_row[chunk.batch.arm[np.arange(len(chunk)), chunk.chosen]]

    def _x(self, chunk: Interactions) -> F32:
        x = chosen_features(chunk)
        if self.parameters["heads"] == "shared":
            return x
        d_u, d_a = chunk.batch.context.shape[1], chunk.batch.catalogue.features.shape[1]
        return np.delete(x, slice(d_u, d_u + d_a), axis=1)

    def _trained(self) -> Layers:
        if self.layers is None:
            raise ValueError("neural_linear: found an untrained policy, expected learn() or load() first")
        return self.layers

    def phi(self, batch: Batch) -> Array:
        layers = self._trained()
        return layers.phi(batch, self._arm_share(batch.catalogue, layers))

    def _arm_share(self, catalogue: Catalogue, layers: Layers) -> Array:
        """(A, width); inline arms are computed behind what is kept of the published ones."""
        share = self._arm_shares.get(catalogue)
        if share is None:
            published = catalogue.published
            share = layers.arm_share(catalogue.features if published is None else catalogue.inline_features)
            if published is not None:
                share = of(share).concatenate([self._arm_share(published, layers), share])
            self._arm_shares[catalogue] = share
        return share

    def _phi_chosen(self, chunk: Interactions) -> Phi:
        return self._trained().rows(self._x(chunk))

    def _arrays(self) -> persistence.Arrays:
        return {f"network.{key}": value for key, value in self.state.items()}

    def _facts(self) -> dict[str, Any]:
        return {"outputs": list(self.outputs)}

    def _restore(self, arrays: persistence.Arrays, facts: dict[str, Any]) -> int:
        self.outputs = tuple(facts["outputs"])
        d_u, d_a, d_p = facts["sizes"]
        state = {key.removeprefix("network."): a for key, a in arrays.items() if key.startswith("network.")}
        return self._serves(state, (d_u, d_a, d_p))


def _several(workers: int, device: str) -> dict[str, int]:
    """The parameter `workers` where there are several: their sums of gradients differ from one's in the last bits."""
    if workers < 1 or (workers > 1 and device != "cpu"):
        raise ValueError(
            f"neural_linear: found workers={workers}, device={device!r}, expected 1 at least, and 'cpu' for several"
        )
    return {"workers": workers} if workers > 1 else {}


def chosen_features(chunk: Interactions) -> F32:
    """Returns (n, d_u + d_a + d_p): what the chosen arm looked like."""
    rows, pair = chunk.shown
    return np.concatenate([chunk.batch.context, chunk.batch.catalogue.features[rows], pair], axis=1, dtype=np.float32)
