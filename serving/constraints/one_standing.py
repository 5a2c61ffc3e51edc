"""How one rule or constraint stands, as `croupier constraints` tells it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One rule or constraint: its `target` in words, and how many `decisions` it was about, of a minimum of slates how
    many slates, whose `least`, mean and `most` are numbers of arms. Of a limit and an exposure `so_far` is the mean
    probability that its arms had, of a spend what today has cost, of a revenue what its arm earned a decision; None of
    a rule, and where nothing counts. `least`, `most`: that of one decision, of a limit. `broken`: decisions that did
    not keep it, although their release has it. `live`: the current release has it. `price`: the shadow price, in units
    of reward for a unit of what is limited; None where there is none. Of a promise to a baseline `so_far` is the
    running value as a part of the baseline's, `least` its bound, `share` the policy's in a decision now, and `until`
    the end of the hours that were counted. `overrun`: of a spend, by how much more than its budget each
    UTC day has cost that cost more; `broken` then counts the decisions that cost something after it was gone."""

    name: str
    kind: str
    target: str
    live: bool
    decisions: int
    so_far: float | None
    least: float | None
    most: float | None
    broken: int
    price: float | None = None
    share: float | None = None
    until: str = ""
    overrun: Mapping[str, float] = field(default_factory=dict)
