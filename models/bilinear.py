"""VW's CB-ADF served as tensors: cost(u, x) = b + w_u·u + w_x·x + uᵀWx, with VW's own exploration on top.

Sums run over one (request, arm) at a time in a fixed order, so a row's scores never depend on its batch mates, and
arms with equal features tie exactly. What depends on the arm alone is computed once per catalogue.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast
from weakref import WeakKeyDictionary

import numpy as np

from features.batch import F64, Batch, Catalogue, Interactions
from models import exploration, state

PRESETS: dict[str, dict[str, Any]] = {
    "squarecb": {"explore": "squarecb", "gamma_scale": 1000.0, "epsilon": 0.01},
    "squarecb_cautious": {"explore": "squarecb", "gamma_scale": 10.0, "epsilon": 0.01},
    "epsilon_greedy": {"explore": "epsilon_greedy", "gamma_scale": 0.0, "epsilon": 0.05},
    "greedy": {"explore": "epsilon_greedy", "gamma_scale": 0.0, "epsilon": 0.0},
}
REFUSED = {
    "regcb": "its pmf needs VW's per-weight learning state at every decision, which the served tensors do not hold",
    "cover": "it does not resume exactly, and --nounif ignores epsilon (VW 9.11.9)",
    "bag": "it does not resume exactly (VW 9.11.9); use the bootstrap ensemble",
    "elim": "its probabilities can be negative (VW 9.11.9)",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Bilinear:
    """Costs as tensors: `bias`, `w_u` (d_u,), `w_x` (d_x,), `W` (d_u, d_x), x being [arm; pair]. `steps` counts the
    examples ever learnt; `model` is VW's own file, to go on from."""

    bias: float
    w_u: F64
    w_x: F64
    W: F64
    steps: int
    model: bytes


@dataclass(frozen=True)
class _Shares:
    """What an arm brings to every request: `cost` (A,) = b + w_a·a, and `by_context` (A, d_u) = W_a a."""

    cost: F64
    by_context: F64


class BilinearPolicy:
    """Contextual bandit trained by VW and served without it.

    `preset` names exploration and its constants (`PRESETS`), each of which may be overridden. `reward_range` scales
    rewards to VW's costs, and clips what lies beyond; None takes the log's own range, widened to hold [0, 1].
    `ignore_linear` of "U" (context), "A" (arm and pair) or "UA" leaves those terms out but for their products.
    `warm_start` goes on from the last model instead of starting afresh.
    """

    name = "vw_cb_adf"

    def __init__(
        self, *, preset: str = "squarecb", gamma_scale: float | None = None, epsilon: float | None = None,
        learning_rate: float = 2.0, passes: int = 1, reward_range: tuple[float, float] | None = None,
        ignore_linear: str = "", warm_start: bool = False,
    ) -> None:  # fmt: skip
        if preset not in PRESETS:
            why = f" ({REFUSED[preset]})" if preset in REFUSED else ""
            raise ValueError(f"preset: found {preset!r}{why}, expected one of {', '.join(PRESETS)}")
        self.parameters: dict[str, Any] = {
            "preset": preset, "gamma_scale": gamma_scale, "epsilon": epsilon, "learning_rate": learning_rate,
            "passes": passes, "reward_range": reward_range, "ignore_linear": ignore_linear,
            "warm_start": warm_start,
        }  # fmt: skip
        if not set(ignore_linear) <= {"U", "A"}:
            raise ValueError(f"ignore_linear: found {ignore_linear!r}, expected letters of 'UA'")
        chosen = PRESETS[preset]
        self.explore: str = chosen["explore"]
        self.gamma_scale: float = chosen["gamma_scale"] if gamma_scale is None else gamma_scale
        self.epsilon: float = chosen["epsilon"] if epsilon is None else epsilon
        self.trained: Bilinear | None = None
        self.range = (0.0, 1.0)
        self._shares: WeakKeyDictionary[Catalogue, _Shares] = WeakKeyDictionary()

    @property
    def flags(self) -> str:
        """The command line under which VW trains, and explores, as this policy does."""
        how = f"--squarecb --gamma_scale {self.gamma_scale:g} " if self.explore == "squarecb" else ""
        ignored = "".join(f" --ignore_linear {space}" for space in self.parameters["ignore_linear"])
        return f"--cb_explore_adf {how}--epsilon {self.epsilon:g} -l {self.parameters['learning_rate']:g}{ignored}"

    def scores(self, batch: Batch) -> F64:
        """(B, K): minus VW's predicted cost; 0 where untrained."""
        if self.trained is None:
            return np.zeros(batch.mask.shape)
        form, d_a = self.trained, batch.catalogue.features.shape[1]
        self._check_sizes(batch, form)
        shares = self._arm_shares(batch.catalogue, form)
        u = batch.context.astype(np.float64)
        cost = shares.cost[batch.arm] + np.einsum("bku,bu->bk", shares.by_context[batch.arm], u)
        cost += np.einsum("bu,u->b", u, form.w_u)[:, None]
        if batch.pair.shape[2]:
            per_pair = form.w_x[d_a:] + np.einsum("bu,pu->bp", u, form.W[:, d_a:].T.copy())
            cost += np.einsum("bkp,bp->bk", batch.pair.astype(np.float64), per_pair)
        return cast("F64", -cost)

    def _arm_shares(self, catalogue: Catalogue, form: Bilinear) -> _Shares:
        shares = self._shares.get(catalogue)
        if shares is None:
            a, d_a = catalogue.features.astype(np.float64), catalogue.features.shape[1]
            self._shares[catalogue] = shares = _Shares(
                cost=form.bias + np.einsum("ai,i->a", a, form.w_x[:d_a]),
                by_context=np.einsum("ai,ui->au", a, form.W[:, :d_a].copy()),
            )
        return shares

    @staticmethod
    def _check_sizes(batch: Batch, form: Bilinear) -> None:
        d_u, d_x = batch.context.shape[1], batch.catalogue.features.shape[1] + batch.pair.shape[2]
        if (d_u, d_x) != form.W.shape:
            raise ValueError(f"batch: found {d_u} context and {d_x} arm + pair features, expected {form.W.shape} as "
                             "in training; serve with the encoder of the release")  # fmt: skip

    def pmf(self, batch: Batch) -> F64:
        scores = self.scores(batch)
        if self.explore == "squarecb":
            # gamma = gamma_scale · t^0.5, t examples learnt (cb_explore_adf_squarecb.cc)
            gamma = self.gamma_scale * float(self.trained.steps if self.trained else 0) ** 0.5
            explored = exploration.squarecb(scores, batch.mask, gamma, order=batch.arm)
            return exploration.enforce_minimum(explored, batch.mask, self.epsilon)
        return exploration.epsilon_greedy(scores, batch.mask, self.epsilon, tie=exploration.VW_TIE)

    def learn(self, log: Iterable[Interactions], *, seed: int = 0) -> Self:  # noqa: ARG002 — VW's order is the log's
        from models import vw_adf  # what serves never imports VW

        learnt = type(self)(**self.parameters)
        start = self.trained if self.parameters["warm_start"] else None
        learnt.range = low, high = self._reward_range(log)
        learnt.trained = vw_adf.train(
            log, flags=self.flags, low=low, high=high, passes=self.parameters["passes"], start=start
        )
        return learnt

    def with_form(self, form: Bilinear) -> Self:
        """This policy with other weights."""
        other = type(self)(**self.parameters)
        other.trained, other.range = form, self.range
        return other

    def _reward_range(self, log: Iterable[Interactions]) -> tuple[float, float]:
        """As given; else as observed, and then kept: a model that goes on must go on with the same costs."""
        if self.parameters["reward_range"]:
            low, high = self.parameters["reward_range"]
            return float(low), float(high)
        seen = observed_range(log)
        if self.trained is None or not self.parameters["warm_start"]:
            return seen
        if seen[0] < self.range[0] or seen[1] > self.range[1]:
            raise ValueError(f"reward: found {seen}, expected within {self.range} as in the first training; to go on "
                             "from a model, give reward_range")  # fmt: skip
        return self.range

    def save(self, folder: Path) -> None:
        if self.trained is None:
            state.write(folder, self.name, self.parameters, {})
            return
        form = self.trained
        arrays: state.Arrays = {"w_u": form.w_u, "w_x": form.w_x, "W": form.W}
        arrays["model"] = np.frombuffer(form.model, dtype=np.uint8)
        facts = {"bias": form.bias, "steps": form.steps, "range": list(self.range)}
        state.write(folder, self.name, self.parameters, arrays, **facts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        parameters, arrays, facts = state.read(folder)
        policy = cls(**parameters)
        if arrays:
            policy.range = (facts["range"][0], facts["range"][1])
            policy.trained = Bilinear(
                bias=facts["bias"], steps=facts["steps"], w_u=arrays["w_u"], w_x=arrays["w_x"], W=arrays["W"],
                model=arrays["model"].tobytes(),
            )  # fmt: skip
        return policy


def observed_range(log: Iterable[Interactions]) -> tuple[float, float]:
    """The log's rewards and [0, 1]: clicks stay 0/1 even where nobody clicked, seconds get their own scale."""
    ends = [(chunk.reward.min(), chunk.reward.max()) for chunk in log if len(chunk)]
    return float(min([0.0, *(low for low, _ in ends)])), float(max([1.0, *(high for _, high in ends)]))
