"""What a release may not do, and how often it must: the rules and limits that app.toml declared when it was made.

They stand in the release's manifest, as the floor does, so that every host serves the same pmf, and a replay of a
decision knows what held. A release of an app that declares none has no such entry.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from croupier.features.clock import now_us
from croupier.features.declared.constraint import ConstraintSpec
from croupier.features.declared.pricing import PricingSpec
from croupier.features.declared.rule import RuleSpec
from croupier.features.declared.ruled_out import RuledOut
from croupier.features.encoding.as_sent import flattened, with_numbers
from croupier.features.pricing.prices import Prices
from croupier.features.schema import Arm
from croupier.features.slates.held import SlateRules, likeness_of
from croupier.features.spec import AppSpec
from croupier.features.spec_values import SafetySpec, SlatesSpec
from croupier.models.constraints.beside_baseline import BesideBaseline
from croupier.models.constraints.held import DecisionLimits
from croupier.models.constraints.long_run import Usage, refuse_costs, usages

ENTRY = "safeguards"
Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Safeguards:
    """`rules`, `constraints`, `safety`, `slates` and `pricing` as declared; `strings`: the arm features that may be
    numbers written as text; `alike` and `width`: by what arms of a slate are like one another, and the width of
    reward.range (features/slates/held.py)."""

    rules: tuple[RuleSpec, ...] = ()
    constraints: tuple[ConstraintSpec, ...] = ()
    strings: tuple[str, ...] = ()
    safety: SafetySpec = field(default_factory=SafetySpec)
    slates: SlatesSpec = field(default_factory=SlatesSpec)
    pricing: PricingSpec = field(default_factory=PricingSpec)
    alike: tuple[str, ...] = ()
    width: float = 1.0

    @classmethod
    def declared(cls, spec: AppSpec) -> Self:
        """What app.toml says."""
        strings = tuple(name for name, feature in spec.arm.items() if feature.strings)
        known = cls(
            rules=spec.rules,
            constraints=spec.constraints,
            strings=strings,
            safety=spec.safety,
            slates=spec.slates,
            pricing=spec.pricing,
        )
        if not spec.slates.diversity:
            return known
        alike, width = likeness_of(spec)
        return replace(known, alike=alike, width=width)

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Self:
        """What a manifest says; releases of before, and of apps without any, have none."""
        body = manifest.get(ENTRY, {})
        return cls(
            rules=tuple(map(RuleSpec.model_validate, body.get("rules", ()))),
            constraints=tuple(map(ConstraintSpec.model_validate, body.get("constraints", ()))),
            strings=tuple(body.get("strings", ())),
            safety=SafetySpec.model_validate(body.get("safety", {})),
            slates=SlatesSpec.model_validate(body.get("slates", {})),
            pricing=PricingSpec.model_validate(body.get("pricing", {})),
            alike=tuple(body.get("alike", ())),
            width=body.get("width", 1.0),
        )

    def entry(self) -> dict[str, Any]:
        """The manifest's entry."""
        since = set() if self.safety.conservative else {"conservative", "baseline"}  # entries of before lack these
        safe: dict[str, Any] = {"safety": self.safety.model_dump(mode="json", exclude=since)} if self._safe else {}
        safe |= {"slates": self.slates.model_dump(mode="json")} if self.slates.declared else {}
        safe |= {"pricing": self.pricing.model_dump(mode="json")} if self.pricing.declared else {}
        safe |= {"alike": list(self.alike), "width": self.width} if self.alike else {}
        if not self.rules and not self.constraints and not safe:
            return {}
        rules, constraints = (
            [each.model_dump(mode="json") for each in some] for some in (self.rules, self.constraints)
        )
        return {ENTRY: {"rules": rules, "constraints": constraints, "strings": list(self.strings)} | safe}

    @property
    def _safe(self) -> bool:
        return bool(self.safety.never_dominated or self.safety.conservative)

    @property
    def beside(self) -> BesideBaseline | None:
        """The baseline that decisions are held to; None where there is none."""
        return BesideBaseline.of(self.safety)

    def limits(self, arms: Sequence[Arm]) -> DecisionLimits:
        """The limits of each decision, of a catalogue's `arms`."""
        if not self.constraints and not self.safety.never_dominated:
            return DecisionLimits()
        flat = {arm.arm_id: self.flat(arm.features) for arm in arms} if self.constraints else {}
        return DecisionLimits.of(self.constraints, flat, self.safety)

    def usages(self, arms: Sequence[Arm]) -> dict[str, Usage]:
        """What a catalogue's `arms` use of the long-run constraints, by name."""
        return (
            usages(self.constraints, {arm.arm_id: self.flat(arm.features) for arm in arms}) if self.constraints else {}
        )

    def fitting(self, arms: Sequence[Arm]) -> Self:
        """Returns itself. Raises ValueError naming an arm of the catalogue whose cost or price is none."""
        if self.constraints:
            refuse_costs(self.constraints, {arm.arm_id: self.flat(arm.features) for arm in arms})
        now = now_us()
        if found := self.prices([arm for arm in arms if not arm.valid_to or arm.valid_to > now]).problems():
            raise ValueError(found[0])
        return self

    def prices(self, arms: Sequence[Arm]) -> Prices:
        """What is asked of a catalogue's `arms`, and of requests, where arms are prices."""
        known = {arm.arm_id: self.flat(arm.features) for arm in arms} if self.pricing.declared else {}
        return Prices(self.pricing, known)

    def flat(self, features: Row) -> Row:
        """An arm's features as conditions read them."""
        return with_numbers(flattened(features, "arm"), self.strings)

    def slate_rules(self, arms: Sequence[Arm]) -> SlateRules:
        """What every slate keeps, over a catalogue's `arms`."""
        flat = {arm.arm_id: self.flat(arm.features) for arm in arms} if self.slates.declared else {}
        return SlateRules(self.slates, flat, self.alike, self.width)

    def ruled_out(self, arms: Sequence[Arm]) -> RuledOut:
        """The rules, over a catalogue's `arms`."""
        return RuledOut(self.rules, {arm.arm_id: self.flat(arm.features) for arm in arms} if self.rules else {})
