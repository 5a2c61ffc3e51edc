"""What `auto` narrows down: policies that between them learn fast whatever the data are.

Each is there for data on which the others are beaten: linear ones where the rule is linear or rows are few, networks
where it is not, Thompson sampling where little exploration locks in, VW where features are many and sparse, and no
features at all where one arm is always the best. VW need not explore: the others do, and it learns what they draw.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from croupier.features.batch import F64, Batch
from croupier.models.bayesian.base import Bayesian
from croupier.models.policy import Policy, make
from croupier.models.simulation.online.auto import Auto
from croupier.models.simulation.online.learner import Learner, Schedule, schedule_of

AUTO = "auto"
CRITIC = "lin_ucb"  # it learns from few rows, so it leads; and what it expects lowers the variance of judging
FREE = frozenset({"beta_bernoulli"})
ARMS: dict[str, Any] = {"heads": "per_arm"}
NETWORK: dict[str, Any] = ARMS | {"warm_start": True, "holdout": 0.0, "epochs": 8}
Portfolio = dict[str, tuple[str, dict[str, Any]]]


def portfolio(rewards: tuple[float, float]) -> Portfolio:
    """Returns, by name, a policy and its parameters; `rewards` is the range of all rewards. Where a loss can be large
    and rare, VW explores more, and the network expects noise of many sizes."""
    binary = rewards == (0.0, 1.0)
    always: Portfolio = {"beta_bernoulli": ("beta_bernoulli", {})} if binary else {}
    return always | {
        "lin_ucb": ("lin_ucb", ARMS | {"alpha": 0.3}),
        "lin_ts": ("lin_ts", ARMS),
        "vw_cb_adf": ("vw_cb_adf", {"preset": "greedy" if binary else "squarecb_cautious", "reward_range": rewards}),
        "neural_linear": ("neural_linear", NETWORK | {"prior": "binary" if binary else "multi_valued"}),
        "neural_linear_ucb": ("neural_linear", NETWORK | {"explore": "ucb", "alpha": 0.3}),
    }


def auto(
    rewards: tuple[float, float], *, seed: int, rounds: int, schedule: Callable[[Policy, int], Schedule] = schedule_of
) -> Auto:
    """Returns the portfolio before its first round of so many."""
    made = {name: make(key, **parameters) for name, (key, parameters) in portfolio(rewards).items()}
    learners = {name: Learner(policy, rewards, seed, schedule(policy, rounds)) for name, policy in made.items()}
    return Auto(
        learners,
        seed,
        leader=CRITIC,
        free=FREE & learners.keys(),
        critic=lambda batch: expected(learners[CRITIC].policy, batch, rewards),
    )


def expected(policy: Policy, batch: Batch, rewards: tuple[float, float]) -> F64 | None:
    """Returns the reward (B, K) that a Bayesian policy expects of each arm; None before it has learnt."""
    if not isinstance(policy, Bayesian) or policy.sizes is None:
        return None
    mean = policy.heads.bounds(batch, policy.phi(batch), alpha=0.0, device=policy.device)
    return np.asarray(np.clip(mean * policy.reward_sd + policy.reward_mean, *rewards), np.float64)
