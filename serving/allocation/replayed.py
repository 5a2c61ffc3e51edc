"""An allocation derived anew: all items of a request together, from their rows of this host's log.

The release, encoder and posterior are those of any decision's replay; then the votes, every item's marginals, the draw
of the whole, and its joint propensity."""

from collections.abc import Callable, Sequence

import numpy as np

from croupier.features.budgets.allocated_item import item_of
from croupier.features.log.spool import Spool
from croupier.features.schema import Decision
from croupier.features.spec import RewardSpec
from croupier.models.allocation.from_log import budget_of, votes_of, weights_of
from croupier.models.allocation.votes import Votes, at_random
from croupier.models.constraints.kept_multipliers import FREE
from croupier.models.constraints.multipliers import Multipliers
from croupier.serving.contract.allocations import item_events
from croupier.serving.decide import replay as of_decisions
from croupier.serving.decide.replay import TOLERANCE, ReplayStep
from croupier.serving.fleet.rederived import Logs, nobodys
from croupier.serving.release.bundle import LoadedRelease

Load = Callable[[int], LoadedRelease]
Prices = Callable[[int], Multipliers]


def replay(
    decision: Decision,
    *,
    load: Load,
    spool: Spool,
    spec: RewardSpec,
    prices: Prices = lambda _: FREE,
    logs: Logs = nobodys,
) -> list[ReplayStep]:
    """Every step up to and with the first that differs, of a decision of any kind. `prices`, `logs`: see
    decide/replay.py."""
    if not decision.allocation or decision.release == 0:
        return of_decisions.replay(decision, load=load, spool=spool, spec=spec, prices=prices, logs=logs)
    item = item_of(decision.allocation)
    logged = spool.find(item_events(item.request, item.items))
    here = [logged[event] for event in item_events(item.request, item.items) if event in logged]
    said = f"{len(here)} of {item.items} items of request {item.request} are in the log of this host"
    steps = [ReplayStep("items", len(here) == item.items, said)]
    for each in here if steps[0].holds else ():
        found, release = of_decisions.release_of(each, load)
        if release is None:
            return [*steps, *found]
    return [*steps, *found, *_derived(here, release, spool, spec, logs)] if steps[0].holds and release else steps


def _derived(
    here: Sequence[Decision], release: LoadedRelease, spool: Spool, spec: RewardSpec, logs: Logs
) -> list[ReplayStep]:
    try:
        votes, text = _votes(here, release, spool, spec, logs)
    except ValueError as error:
        return [ReplayStep("posterior", False, str(error))]
    steps = [ReplayStep("posterior", True, text)]
    worst = float(np.abs(votes.marginals() - np.array([d.pmf for d in here])).max())
    steps.append(ReplayStep("marginals", worst <= TOLERANCE, f"largest difference {worst:.3g}"))
    item = item_of(here[0].allocation)
    drawn = votes.draw(release.salt, item.request)
    options = [d.arms[j] for d, j in zip(here, drawn.tolist(), strict=True)]
    other = sum(option != d.arm for option, d in zip(options, here, strict=True))
    steps.append(ReplayStep("draw", not other, f"{other} of {len(here)} items have another option than logged"))
    joint = votes.propensity(drawn)
    same = abs(joint - item.propensity) <= TOLERANCE
    steps.append(ReplayStep("propensity", same, f"of the whole: logged {item.propensity:.9g}, derived {joint:.9g}"))
    return steps


def _votes(
    here: Sequence[Decision], release: LoadedRelease, spool: Spool, spec: RewardSpec, logs: Logs
) -> tuple[Votes, str]:
    """What was elected. Raises ValueError where it cannot be said."""
    policy, text = of_decisions.policy_of(here[0], release, spool, spec, logs)
    items = [item_of(d.allocation) for d in here]
    budget, weights = budget_of(items), weights_of(items[0])
    if policy is None:
        return at_random(budget), text
    contexts, arms, pairs = [d.context for d in here], [d.arms for d in here], [d.arm_context for d in here]
    batch = release.encoder.encode(contexts, arms, pairs, release.catalogue, [d.arm_features for d in here])
    (votes,) = votes_of(policy, budget, batch, floor=release.floor, weights=weights)
    return votes, text
