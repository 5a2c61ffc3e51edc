"""VW's CB-ADF served as tensors: cost(u, x) = b + w_u·u + w_x·x + uᵀWx, with VW's own exploration on top.

A row's scores never depend on its batch mates, and arms of a request with equal features tie exactly (costs.py).
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self, cast

import numpy as np

from croupier.features.batch import F64, Batch, Interactions
from croupier.models import exploration, persistence
from croupier.models.policy import Among, InlineArms
from croupier.models.vw import regcb
from croupier.models.vw.costs import BilinearCosts, clipped, with_one
from croupier.models.vw.form import Bilinear

PRESETS: dict[str, dict[str, Any]] = {  # how to explore, and its constants where they are not those of NOTHING
    "squarecb": {"explore": "squarecb", "gamma_scale": 1000.0, "epsilon": 0.01},
    "squarecb_cautious": {"explore": "squarecb", "gamma_scale": 10.0, "epsilon": 0.01},
    "epsilon_greedy": {"explore": "epsilon_greedy", "epsilon": 0.05},
    "greedy": {"explore": "epsilon_greedy"},
    "regcb": {"explore": "regcb", "mellowness": 0.001},
    "regcb_elim": {"explore": "regcb_elim", "mellowness": 0.001},
    "bag": {"explore": "bag", "members": 4, "epsilon": 0.01},
}
NOTHING = {"gamma_scale": 0.0, "epsilon": 0.0, "mellowness": 0.0, "members": 1}
REFUSED = {
    "cover": "it does not resume exactly, and --nounif ignores epsilon (VW 9.11.9)",
    "elim": "SquareCB's elimination can give negative probabilities (VW 9.11.9); regcb_elim is RegCB's",
}


class BilinearPolicy:
    """Contextual bandit trained by VW and served without it.

    `preset` names exploration and its constants (`PRESETS`), each of which may be overridden: `gamma_scale` of
    SquareCB, `mellowness` of RegCB, `members` of a bag, `epsilon` of all but RegCB. `reward_range` scales rewards to
    VW's costs, and clips what lies beyond; None takes the log's own range, widened to hold [0, 1].
    `ignore_linear` of "U" (context), "A" (arm and pair) or "UA" leaves those terms out but for their products.
    `warm_start` goes on from the last model instead of starting afresh.
    """

    name = "vw_cb_adf"
    inline_arms: InlineArms = "scored"

    def __init__(
        self,
        *,
        preset: str = "squarecb",
        gamma_scale: float | None = None,
        epsilon: float | None = None,
        mellowness: float | None = None,
        members: int | None = None,
        learning_rate: float = 2.0,
        passes: int = 1,
        reward_range: tuple[float, float] | None = None,
        ignore_linear: str = "",
        warm_start: bool = False,
    ) -> None:
        if preset not in PRESETS:
            why = f" ({REFUSED[preset]})" if preset in REFUSED else ""
            raise ValueError(f"preset: found {preset!r}{why}, expected one of {', '.join(PRESETS)}")
        given = {"gamma_scale": gamma_scale, "epsilon": epsilon, "mellowness": mellowness, "members": members}
        self.parameters: dict[str, Any] = given | {
            "preset": preset,
            "learning_rate": learning_rate,
            "passes": passes,
            "reward_range": reward_range,
            "ignore_linear": ignore_linear,
            "warm_start": warm_start,
        }
        chosen = NOTHING | PRESETS[preset] | {key: value for key, value in given.items() if value is not None}
        self.explore: str = chosen["explore"]
        self.gamma_scale: float = chosen["gamma_scale"]
        self.epsilon: float = chosen["epsilon"]
        self.mellowness: float = chosen["mellowness"]
        self.members: int = chosen["members"]
        self._check_options()
        self.trained: Bilinear | None = None
        self.range = (0.0, 1.0)
        self._bilinear = BilinearCosts()

    def _check_options(self) -> None:
        passes, ends = self.parameters["passes"], self.parameters["reward_range"] or (0.0, 1.0)
        if not -math.inf < ends[0] < ends[1] < math.inf:
            raise ValueError(
                f"reward_range: found {ends}, expected the lowest reward, then the highest: costs follow from it"
            )
        if not (0 <= self.epsilon <= 1 and self.gamma_scale >= 0 and passes >= 1):
            found = f"epsilon={self.epsilon}, gamma_scale={self.gamma_scale}, passes={passes}"
            raise ValueError(f"vw_cb_adf: found {found}, expected a share, a number ≥ 0, and ≥ 1")
        if not set(self.parameters["ignore_linear"]) <= {"U", "A"}:
            raise ValueError(f"ignore_linear: found {self.parameters['ignore_linear']!r}, expected letters of 'UA'")
        if self.explore.startswith("regcb") and self.epsilon:
            raise ValueError(
                f"epsilon: found {self.epsilon} with RegCB, which has none in VW, expected 0; set the floor instead"
            )
        if self.members < 1 or (self.members > 1 and self.explore != "bag"):
            raise ValueError(f"members: found {self.members}, expected at least 1, and more of a bag only")
        if self.explore == "bag" and self.parameters["warm_start"]:
            raise ValueError(
                "warm_start: found True with a bag, expected False: VW 9.11.9's file keeps the normaliser "
                "of the first member only, so that the others do not resume exactly"
            )

    @property
    def flags(self) -> str:
        """The command line under which VW trains, and explores, as this policy does."""
        mellow = f"--mellowness {self.mellowness:g}"
        how = {
            "squarecb": f"--squarecb --gamma_scale {self.gamma_scale:g} --epsilon {self.epsilon:g}",
            "epsilon_greedy": f"--epsilon {self.epsilon:g}",
            "bag": f"--bag {self.members} --epsilon {self.epsilon:g}",
            "regcb": f"--regcb --regcbopt --first_only {mellow}",
            "regcb_elim": f"--regcb {mellow}",
        }[self.explore]
        ignored = "".join(f" --ignore_linear {space}" for space in self.parameters["ignore_linear"])
        return f"--cb_explore_adf {how} -l {self.parameters['learning_rate']:g}{ignored}"

    def scores(self, batch: Batch) -> F64:
        """Returns (B, K): minus VW's predicted cost, the members' mean; 0 where untrained."""
        return cast("F64", -self._costs(batch).mean(axis=0))

    def _costs(self, batch: Batch) -> F64:
        """Returns each member's costs, (m, B, K)."""
        if self.trained is None:
            return np.zeros((1, *batch.mask.shape))
        form = self.trained
        form.check(batch)
        return self._bilinear.costs(batch, form)

    def pmf(self, batch: Batch) -> F64:
        """Returns the probability of each candidate, (B, K)."""
        return self._explored(self._costs(batch), batch)

    def scored(self, batch: Batch) -> Among:
        """See models/policy.py: costs do not depend on the other candidates, exploration does."""
        costs = self._costs(batch)
        return lambda left: self._explored(left.take(costs), left.batch(batch))

    def _explored(self, costs: F64, batch: Batch) -> F64:
        """The pmf (B, K) of members' costs (m, B, K)."""
        mask = batch.mask
        if self.trained is not None and self.trained.rates is not None:
            return self._regcb(batch, costs[0], self.trained, self.trained.rates)
        costs = costs if batch.price is None else costs + batch.price
        if self.trained is None:  # nothing is known, every arm ties
            return exploration.greedy(-costs[0], mask)
        if self.explore == "squarecb":  # gamma = gamma_scale · t^0.5, t examples learnt (cb_explore_adf_squarecb.cc)
            gamma = self.gamma_scale * float(self.trained.steps) ** 0.5
            explored = exploration.squarecb(-costs[0], mask, gamma, order=lambda: batch.order)
        else:  # members vote (cb_explore_adf_bag.cc); one member alone is VW's greedy
            explored = exploration.greedy(-costs, mask, tie=exploration.VW_TIE).mean(axis=0)
        return exploration.enforce_minimum(explored, mask, self.epsilon)

    def _regcb(self, batch: Batch, cost: F64, form: Bilinear, rates: regcb.Rates) -> F64:
        one = np.ones((*batch.mask.shape, 1))
        u = with_one(batch.context)
        x = np.concatenate([one, clipped(batch.arm_features), clipped(batch.pair)], axis=2)
        allowed = regcb.allowance(batch.mask, mellowness=self.mellowness, steps=form.steps)
        low = regcb.lowest(cost, allowed, rates, u, x)
        if self.explore == "regcb":
            return exploration.greedy(batch.priced(-low), batch.mask, order=batch.order)
        high = regcb.highest(cost, allowed, rates, u, x)
        return exploration.eliminate(batch.priced(-high), batch.priced(-low), batch.mask)

    def learn(self, log: Iterable[Interactions], *, seed: int = 0) -> Self:  # noqa: ARG002 — VW's order is the log's
        """Returns a policy that Vowpal Wabbit trained on the log, in the log's order."""
        from croupier.models.vw import train  # what serves never imports VW

        learnt = type(self)(**self.parameters)
        start = self.trained if self.parameters["warm_start"] else None
        learnt.range = low, high = self._reward_range(log)
        learnt.trained = train.train(
            log, flags=self.flags, low=low, high=high, passes=self.parameters["passes"], start=start
        )
        return learnt

    def with_form(self, form: Bilinear) -> Self:
        """This policy with other weights."""
        other = type(self)(**self.parameters)
        other.trained, other.range = form, self.range
        return other

    def _reward_range(self, log: Iterable[Interactions]) -> tuple[float, float]:
        """Returns the range as given; else as observed, and then kept: a model that goes on must go on with the same
        costs."""
        if self.parameters["reward_range"]:
            low, high = self.parameters["reward_range"]
            return float(low), float(high)
        seen = observed_range(log)
        if self.trained is None or not self.parameters["warm_start"]:
            return seen
        if seen[0] < self.range[0] or seen[1] > self.range[1]:
            raise ValueError(
                f"reward: found {seen}, expected within {self.range} as in the first training; to go on "
                "from a model, give reward_range"
            )
        return self.range

    def save(self, folder: Path) -> None:
        """Writes weights and VW's own model into `folder`."""
        if self.trained is None:
            persistence.write(folder, self.name, self.parameters, {})
            return
        form, facts = self.trained, {"steps": self.trained.steps, "range": list(self.range)}
        arrays: persistence.Arrays = {"bias": form.bias, "w_u": form.w_u, "w_x": form.w_x, "W": form.W}
        arrays["model"] = np.frombuffer(form.model, dtype=np.uint8)
        if form.rates is not None:
            arrays |= {"squares": form.rates.squares, "scale": form.rates.scale}
            facts |= {"norm": form.rates.norm, "weight": form.rates.weight}
        persistence.write(folder, self.name, self.parameters, arrays, **facts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads the policy from `folder`. Raises ValueError where the folder is not whole."""
        parameters, arrays, facts = persistence.read(folder)
        policy = cls(**parameters)
        if facts and not arrays:  # served, it would be an untrained one
            raise ValueError(
                f"{folder}: found no arrays.safetensors beside policy.json, expected the weights of a "
                "trained policy; the folder is not whole"
            )
        if arrays:
            policy.range = (facts["range"][0], facts["range"][1])
            model, rates = arrays.pop("model").tobytes(), None
            if "scale" in arrays:
                rates = regcb.Rates(
                    squares=arrays.pop("squares"),
                    scale=arrays.pop("scale"),
                    norm=facts["norm"],
                    weight=facts["weight"],
                    learning_rate=parameters["learning_rate"],
                )
            policy.trained = Bilinear(**arrays, steps=facts["steps"], model=model, rates=rates)
        return policy


def observed_range(log: Iterable[Interactions]) -> tuple[float, float]:
    """The log's rewards and [0, 1]: clicks stay 0/1 even where nobody clicked, seconds get their own scale."""
    ends = [(chunk.reward.min(), chunk.reward.max()) for chunk in log if len(chunk)]
    return float(min([0.0, *(low for low, _ in ends)])), float(max([1.0, *(high for _, high in ends)]))
