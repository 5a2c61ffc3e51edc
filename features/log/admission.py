"""What an app's declaration lets into its log: kinds of reward, their values, and times; and which decisions of a
client's own. It is the guard at every entry (Triton's `reward` and `record`, `croupier import`, the virtual month).

    NotAdmitted(InvalidEvent)      names the field; `reason` is the word under which it is counted

The range of one value is `[reward.kinds.K] range`. Where none is declared, an only kind without a clip must keep to
what `reward.range` leaves it, and a guardrail to its range in `[rollout]`; of several kinds that add up to one reward
only their sum has a range, and any finite value is taken.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Self

from croupier.features.budgets.allocated_item import item_of
from croupier.features.log.refusals import NotAdmitted
from croupier.features.log.spool_rows import IMPROBABLE, OUTSIDE, UNDECLARED, UNTIMELY
from croupier.features.reward import CLOCK_SKEW_US
from croupier.features.schema import Decision, Reward
from croupier.features.spec import AppSpec, KindSpec, RewardSpec
from croupier.features.spec_values import APPRENTICED, IGNORE, AllocationSpec
from croupier.features.utc import SECOND, us_of

Ends = tuple[float, float]
_SAID = ("ignore_unknown", "apprentice")  # what a release carries only where it is so


@dataclass(frozen=True, kw_only=True)
class Admission:
    """`kinds`: every declared kind, and the range of one value of it (None: any finite number). `record_floor`: ε of
    `[record]`; `record_us`: the greatest age of a client's own decision. `ignore_unknown`: features that are not
    declared are left out and counted, not refused. `apprentice`: requests are answered with the first of their arms.
    `allocation`: what is declared of requests to allocate. `guarded`: guardrails that no reward is made of, where
    app.toml is at hand."""

    kinds: Mapping[str, Ends | None] = field(default_factory=dict)
    record_floor: float
    record_us: int
    ignore_unknown: bool = False
    apprentice: bool = False
    allocation: AllocationSpec = field(default_factory=AllocationSpec)
    guarded: frozenset[str] = field(default=frozenset(), compare=False)

    @classmethod
    def of(cls, spec: AppSpec) -> Self:
        """Raises nothing: what a spec declares was checked when it was read."""
        totals = spec.rollout.guardrail_ranges
        kinds: dict[str, Ends | None] = {kind: _running(totals.get(kind, (0.0, 1.0))) for kind in spec.guardrails}
        kinds |= {name: _values(kind, spec.reward, spec.pricing.most) for name, kind in spec.reward.kinds.items()}
        seconds = spec.record.seconds or spec.reward.window_seconds + CLOCK_SKEW_US / SECOND
        return cls(
            kinds=kinds,
            record_floor=spec.record.floor,
            record_us=us_of(seconds),
            ignore_unknown=spec.requests.unknown_features == IGNORE,
            apprentice=spec.requests.learning_mode == APPRENTICED,
            allocation=spec.allocation,
            guarded=frozenset(spec.guardrails.keys() - spec.reward.kinds.keys()),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON, as a release's manifest carries it to hosts without an app.toml."""
        kinds = {name: list(ends) if ends else None for name, ends in self.kinds.items()}
        more: dict[str, Any] = {name: True for name in _SAID if getattr(self, name)}
        if self.allocation.declared:
            more["allocation"] = self.allocation.model_dump(mode="json", exclude_defaults=True)
        return {"kinds": kinds, "record_floor": self.record_floor, "record_us": self.record_us, **more}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Self:
        """Restores what `to_dict` made of it, from a release's manifest."""
        kinds = {name: (float(ends[0]), float(ends[1])) if ends else None for name, ends in row["kinds"].items()}
        more: dict[str, Any] = {name: bool(row.get(name)) for name in _SAID}
        allocation = AllocationSpec(**row.get("allocation", {}))
        limits = {"record_floor": row["record_floor"], "record_us": row["record_us"]}
        return cls(kinds=kinds, allocation=allocation, **limits, **more)

    def reward(self, reward: Reward) -> Reward:
        """Returns the reward. Raises NotAdmitted for a kind that is not declared, or a value outside its kind's
        range."""
        if reward.kind not in self.kinds:
            near = difflib.get_close_matches(reward.kind[:64], self.kinds, n=1)
            hint = f"; did you mean {near[0]}?" if near else "; declare it in app.toml: [reward.kinds.NAME]"
            expected = f"one of {', '.join(sorted(self.kinds)) or 'none: no kind is declared'}{hint}"
            raise NotAdmitted("kind", reward.kind, expected, reason=UNDECLARED)
        ends = self.kinds[reward.kind]
        if ends is not None and not ends[0] <= reward.value <= ends[1]:
            where = f"[reward.kinds.{reward.kind}] range"
            if reward.kind in self.guarded:  # a declared kind would add to the reward
                where = f"[rollout] guardrail_ranges, {reward.kind} = [low, high]"
            expected = (
                f"{ends[0]:g} to {ends[1]:g} for a {reward.kind}; if such values are right, declare their "
                f"range in app.toml: {where}"
            )
            raise NotAdmitted("value", reward.value, expected, reason=OUTSIDE)
        return reward

    def record(self, decision: Decision, now: int) -> Decision:
        """Returns the decision. Raises NotAdmitted where the shown arm's propensity is below ε/K, or ε/(K · items) of
        an item of a request to allocate, for its weight in every estimate would be enormous, or where the decision is
        older than `record_us`, or of the future."""
        items = item_of(decision.allocation).items if decision.allocation else 1  # under a total some options are rare
        least = self.record_floor / (len(decision.arms) * items)
        if decision.propensity < least:
            expected = f"at least {least:g} (ε/K, [record] floor in app.toml) for the arm that was shown"
            raise NotAdmitted("pmf", decision.propensity, expected, reason=IMPROBABLE)
        if not now - self.record_us <= decision.at <= now + CLOCK_SKEW_US:
            expected = (
                f"{now - self.record_us} to {now + CLOCK_SKEW_US}: at most {self.record_us / SECOND:g} s ago "
                "([record] seconds in app.toml); older hours are closed"
            )
            raise NotAdmitted("at", decision.at, expected, reason=UNTIMELY)
        return decision


def _values(kind: KindSpec, spec: RewardSpec, most: float) -> Ends | None:
    """Returns the range of one value: as declared, of sales 0 to `most` that a decision can sell, or what the combined
    range leaves an only kind."""
    if kind.sold and kind.range is None and kind.clip is None:
        return _running((0.0, most)) if kind.how == "sum" else (0.0, most)
    if kind.range is not None or kind.clip is not None or len(spec.kinds) > 1 or kind.weight == 0:
        return kind.range
    ends = sorted(end / kind.weight for end in spec.range)
    found = _running((ends[0], ends[1])) if kind.how == "sum" else (ends[0], ends[1])
    return found if all(map(isfinite, found)) else None


def _running(total: Ends) -> Ends:
    """Returns the range of one value where the sum of all, after each of them, keeps to a range: a correction may take
    back what came."""
    width = total[1] - total[0]
    return min(total[0], -width), max(total[1], width)
