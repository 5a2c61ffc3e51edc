"""What app.toml asks of every slate, held slot after slot: the arms that the next slot may not show."""

from collections.abc import Mapping, Sequence
from typing import Any

from croupier.features.declared.condition import holds
from croupier.features.slates.minimums import Minimum, minimums_of, offers
from croupier.features.slates.so_far import SlateSoFar
from croupier.features.spec_values import MinimumSpec, SlatesSpec

Row = Mapping[str, Any]
REASON = "slates.minimums"  # why an arm is not offered


class SlateRules:
    """[slates] of app.toml, over a catalogue: id → features, flat. Of arms that a request brings along their own
    features are asked."""

    def __init__(self, declared: SlatesSpec, catalogue: Mapping[str, Row]) -> None:
        self.declared = declared
        self._of = [{arm for arm, own in catalogue.items() if _is(one, arm, own)} for one in declared.minimums]

    def __bool__(self) -> bool:
        return self.declared.declared

    def left_out(self, so_far: SlateSoFar, arms: Sequence[str], given: Sequence[Row | None] = ()) -> dict[str, str]:
        """Why arms of the next slot are left out: arm → REASON. `given` as in RuledOut.why. Raises InvalidEvent naming
        a minimum, of app.toml or of the request, that these arms or so many slots cannot keep."""
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


def _is(one: MinimumSpec, arm: str, own: Row) -> bool:
    return holds((one.value,), arm if one.feature == "arm_id" else own.get(one.feature)) is True
