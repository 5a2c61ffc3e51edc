"""What app.toml asks of every slate, held slot after slot: what the next slot may not show, and what comes off scores.

Unlike arms (`[slates] diversity`) are maximal marginal relevance (Carbonell & Goldstein 1998): an arm's score less its
likeness to the most alike arm above it,

    value(a | above) = score(a) − d · width of reward.range · max over s above of likeness(a, s)

which orders arms as λ score − (1 − λ) likeness does for λ = 1 / (1 + d · width). The second term comes off the scores
as a price (Batch.price), before the policy explores, so that each propensity is that of what was drawn from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Self

import numpy as np

from croupier.features.batch import F64, I64, Batch, Catalogue
from croupier.features.declared.condition import holds
from croupier.features.schema import InvalidEvent
from croupier.features.slates.likeness_above import LikenessAbove, codes_of
from croupier.features.slates.minimums import Minimum, minimums_of, offers
from croupier.features.slates.so_far import SlateSoFar
from croupier.features.spec import AppSpec
from croupier.features.spec_values import MinimumSpec, SlatesSpec

Row = Mapping[str, Any]
Slot = tuple[SlateSoFar | None, Sequence[str], Sequence[Row | None]]  # its slate, its candidates, as in left_out
Asked = Sequence[Mapping[str, Any]]  # minimums as a request asks for them
MOST_LISTS = 256  # of arms, whose minimums are kept
REASON = "slates.minimums"  # why an arm is not offered


class SlateRules:
    """[slates] of app.toml, over a catalogue: id → features, flat. Of arms that a request brings along their own
    features are asked. `alike`: the features by which arms are like one another; `width`: that of reward.range."""

    def __init__(
        self, declared: SlatesSpec, catalogue: Mapping[str, Row], alike: Sequence[str] = (), width: float = 1.0
    ) -> None:
        self.declared, self._catalogue, self._alike = declared, catalogue, tuple(alike)
        self._most, self._lists = declared.diversity * width, dict[tuple[int, tuple[str, ...]], Sequence[Minimum]]()
        self._of = [{arm for arm, own in catalogue.items() if _is(one, arm, own)} for one in declared.minimums]

    @classmethod
    def of(cls, spec: AppSpec, catalogue: Mapping[str, Row]) -> Self:
        """Those of an app.toml."""
        return cls(spec.slates, catalogue, *likeness_of(spec))

    def __bool__(self) -> bool:
        return self.declared.declared

    def counts(self, arms: Sequence[str], given: Sequence[Row | None]) -> list[int]:
        """How many of these arms are of the category of each minimum."""
        return [len(one.arms) for one in self._minimums(arms, given)]

    def prices(self, slots: Sequence[Slot], width: int) -> F64:
        """(n, width): what likeness to the arms above takes off each candidate's score, in units of reward."""
        found = np.zeros((len(slots), width))
        for row, (so_far, arms, given) in enumerate(slots):
            if self._most and so_far is not None and so_far.above:
                above = [self._traits(arm, own) for arm, own in zip(so_far.shown, so_far.features, strict=True)]
                own = [self._traits(arm, each) for arm, each in zip(arms, given or [None] * len(arms), strict=True)]
                most = {each: self._most * max(_likeness(each, one) for one in above) for each in set(own)}
                found[row, : len(arms)] = [most[each] for each in own]
        return found

    def priced(self, batch: Batch, slots: Sequence[Slot]) -> Batch:
        """The batch as the slots of slates are scored."""
        if not self._most or all(so_far is None for so_far, _, _ in slots):
            return batch
        price = self.prices(slots, batch.mask.shape[1])
        return replace(batch, price=price if batch.price is None else batch.price + price)

    def _traits(self, arm: str, own: Row | None) -> tuple[Any, ...]:
        features = self._catalogue.get(arm, {}) if own is None else own
        return tuple(arm if name == "arm_id" else features.get(name) for name in self._alike)

    def known(self, k: int, arms: Sequence[str], given: Sequence[Row | None], own: Asked = ()) -> Sequence[Minimum]:
        """The minimums of a slate of k slots over these arms, those of app.toml and then its `own`. Slates that ask for
        the same of the same arms of the catalogue have one list. Raises InvalidEvent as `left_out`."""
        plain = not own and not given
        key = k, tuple(arms)
        if plain and (found := self._lists.get(key)) is not None:
            return found
        found = minimums_of(own, arms, k, self._minimums(arms, given or [None] * len(arms)))
        if plain:
            if len(self._lists) >= MOST_LISTS:
                self._lists.clear()
            self._lists[key] = found
        return found

    def likeness(self, batch: Batch) -> LikenessAbove | None:
        """What likeness takes off the scores of this batch's candidates, each request a slate; None where nothing is
        declared, or arms are of the request, or not to be told apart by numbers: then ask `prices`."""
        if not self._most or batch.catalogue.published is not None:
            return None
        codes = _codes(self, batch.catalogue)
        return None if codes is None else LikenessAbove(codes[batch.arm], self._most)

    @property
    def unlike(self) -> bool:
        """True if likeness to the arms above takes anything off scores."""
        return bool(self._most)

    def traits(self, arms: Sequence[str]) -> list[tuple[Any, ...]]:
        """What arms of the catalogue can be alike in, each a tuple."""
        return [self._traits(arm, None) for arm in arms]

    def left_out(self, so_far: SlateSoFar, arms: Sequence[str], given: Sequence[Row | None] = ()) -> dict[str, str]:
        """Why arms of the next slot are left out: arm → REASON. `given` as in RuledOut.why. Raises InvalidEvent naming
        a minimum, of app.toml or of the request, that these arms or so many slots cannot keep, or an arm above that is
        listed again."""
        if twice := set(so_far.shown).intersection(arms):
            raise InvalidEvent("slate.above", min(twice), "an arm that the slot does not list, too")
        names = [*so_far.shown, *arms]
        known = self._minimums(names, [*so_far.features, *(given or [None] * len(arms))])
        may = offers(minimums_of(so_far.minimums, names, so_far.k, known), so_far.shown, so_far.k)
        return {} if may is None else {arm: REASON for arm in arms if arm not in may}

    def _minimums(self, arms: Sequence[str], given: Sequence[Row | None]) -> list[Minimum]:
        pairs = list(zip(arms, given, strict=True))
        return [
            Minimum(
                frozenset(arm for arm, own in pairs if (arm in of if own is None else _is(one, arm, own))),
                one.least,
                f"{one.feature} = {one.value!r}",
            )
            for one, of in zip(self.declared.minimums, self._of, strict=True)
        ]


@lru_cache(maxsize=8)
def _codes(rules: SlateRules, catalogue: Catalogue) -> I64 | None:
    return codes_of(rules.traits(catalogue.ids))


def likeness_of(spec: AppSpec) -> tuple[tuple[str, ...], float]:
    """By which features arms are like one another, and the width of reward.range."""
    low, high = spec.reward.range
    return tuple(name for name, feature in spec.arm.items() if feature.type == "categorical"), high - low


def _likeness(one: Sequence[Any], other: Sequence[Any]) -> float:
    """The share of features that both have alike; one that is missing is like nothing."""
    same = [a is not None and holds((a,), b) is True for a, b in zip(one, other, strict=True)]
    return sum(same) / len(same)


def _is(one: MinimumSpec, arm: str, own: Row) -> bool:
    return holds((one.value,), arm if one.feature == "arm_id" else own.get(one.feature)) is True
