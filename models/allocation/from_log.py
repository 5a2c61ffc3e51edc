"""What a policy would have allocated to the requests of a log: the marginals that the gate judges it by.

A row of the log is an item, and says of its request what it takes to solve it again; a candidate's draws are solved
under the costs and the total that the request had, so what is judged is what would be served."""

from collections.abc import Sequence

import numpy as np

from croupier.features.batch import F64, I64, Batch
from croupier.features.budgets.allocated_item import AllocatedItem, rows_of_requests
from croupier.features.declared.fitting import ALLOCATING
from croupier.models.allocation.request import Budget, Weights
from croupier.models.allocation.votes import Votes, at_random
from croupier.models.policy import Policy

TOGETHER = 64  # requests with one budget that are scored at once


class CannotAllocate(ValueError):
    """The policy has no posterior that can be drawn from: says which have."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(f"found {policy.name}, expected a policy that allocates: {', '.join(ALLOCATING)}")


def votes_of(policy: Policy, budget: Budget, batch: Batch, *, floor: float, weights: Weights) -> list[Votes]:
    """What a policy elects for each request of a batch whose rows are items and whose candidates are options, under one
    budget: with `floor` a random feasible allocation; nothing else before it is trained. Raises CannotAllocate,
    ValueError for heads that cannot be drawn from, and InvalidEvent where nothing can be allocated."""
    if policy.name not in ALLOCATING:
        raise CannotAllocate(policy)
    if getattr(policy, "sizes", None) is None:  # uniform, or not trained
        return [at_random(budget)] * (len(batch) // budget.shape[0])
    from croupier.models.allocation.allocator import Allocator  # it brings scipy, which random allocations do without

    allocator = Allocator(policy=policy, floor=floor, weights=weights)  # type: ignore[arg-type]
    return allocator.elected(budget, batch)


def budget_of(items: Sequence[AllocatedItem]) -> Budget:
    """What limited the request of these items, which are all that it has, in order. Raises ValueError where some are
    missing."""
    if len(items) != items[0].items:
        raise ValueError(f"request {items[0].request}: found {len(items)} items, expected {items[0].items}")
    return Budget(
        cost=np.array([item.costs for item in items]),
        total=items[0].total,
        region=np.array([item.region for item in items]),
        covers=np.array(items[0].covers, bool),
    )


def weights_of(item: AllocatedItem) -> Weights:
    """The weights of the objective that the request had."""
    relevance, coverage, spare = item.weights
    return Weights(relevance=relevance, coverage=coverage, spare=spare)


def marginals(policy: Policy, batch: Batch, *, floor: float) -> F64:
    """(B, K): how probable each option of each item is, of a batch whose rows are the items of whole requests, in any
    order; zero where a row is no item. Raises as `votes_of` and `budget_of` do."""
    found = np.zeros(batch.mask.shape)
    alike: dict[tuple[object, ...], list[tuple[Sequence[AllocatedItem], I64]]] = {}
    for items, rows in rows_of_requests(batch.allocation if batch.allocation is not None else np.zeros(0, np.object_)):
        key = (items[0].total, items[0].weights, items[0].covers, *((item.costs, item.region) for item in items))
        alike.setdefault(key, []).append((items, rows))
    for requests in alike.values():
        for start in range(0, len(requests), TOGETHER):
            _fill(found, policy, batch, requests[start : start + TOGETHER], floor)
    return found


def _fill(
    found: F64, policy: Policy, batch: Batch, requests: Sequence[tuple[Sequence[AllocatedItem], I64]], floor: float
) -> None:
    """Puts the marginals of requests with one budget where their rows are, in place."""
    items, rows = requests[0][0], np.concatenate([rows for _, rows in requests])
    budget, some, m = budget_of(items), batch[rows], len(items[0].costs)
    cut = Batch(
        context=some.context,
        arm=some.arm[:, :m],
        mask=some.mask[:, :m],
        pair=some.pair[:, :m],
        catalogue=some.catalogue,
    )
    votes = votes_of(policy, budget, cut, floor=floor, weights=weights_of(items[0]))
    found[rows[:, None], np.arange(m)] = np.concatenate([each.marginals() for each in votes])
