"""What a bandit is: one `app.toml`, declared by its owner and checked whole before anything runs.

[reward]   window, default, range, and how each kind of reward counts
[requests] [record]   what is taken of requests, and of a client's own decisions
[quality]   how many bad rows an hour may have
[context.NAME] [arm.NAME] [arm_context.NAME]   one feature each
[allocation]   an option for each of several items, with the sum of their costs within a total
[policies] [training]   what competes, and on what and how often it is trained
[[rules]] [[constraints]] [safety]   what may not be chosen, and how often what must be
[slates]   what every slate keeps
[retrieval] [pricing]   which arms a request that lists none is decided among; arms that are prices
[gate] [refresh] [rollout]   when to promote, when to renew the champion, how to expose
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from croupier.features.declared import agreement, fitting, pricing, refusals, retrieval
from croupier.features.declared.constraint import ConstraintSpec
from croupier.features.declared.feature import Feature
from croupier.features.declared.policies import PoliciesSpec, RefreshSpec
from croupier.features.declared.pricing import PricingSpec
from croupier.features.declared.retrieval import RetrievalSpec
from croupier.features.declared.rule import RuleSpec
from croupier.features.spec_values import (
    AllocationSpec,
    ArmsSpec,
    Clip,
    HealthSpec,
    QualitySpec,
    Range,
    RecordSpec,
    RequestsSpec,
    SafetySpec,
    Seasons,
    SlatesSpec,
    Strict,
    duration,
    rising_shares,
)
from croupier.features.utc import DAY_SECONDS, HOUR_SECONDS


class SpecError(ValueError):
    """app.toml is not usable: the message names the entry, what was found and what was expected."""


class KindSpec(Strict):
    """How rewards of one kind count: several for one event become one (`how`), clipped, times `weight`."""

    how: Literal["first", "last", "sum", "max"] = Field(
        "first", description="which number several rewards of this kind for one decision become"
    )
    weight: float = Field(1.0, description="what one unit of this kind adds to the reward")
    clip: Clip | None = Field(None, description="the kind's number is cut to [low, high] before it is weighted")
    range: Range | None = Field(
        None,
        description="of one value; others are refused on receipt. Left out: what reward.range allows of an only "
        "kind without clip, of a sold kind 0 to pricing.most, else any finite number",
    )
    sold: bool = Field(
        False, description="true: values count sales, and a sale adds price − cost of the arm shown ([pricing])"
    )


class RewardSpec(Strict):
    """`reward = Σ_kinds weight · clip(how(values))`; `default` when none came within the window."""

    window_seconds: float = Field(HOUR_SECONDS, gt=0, description="how long after a decision a reward still counts")
    default: float = Field(0.0, description="the reward of a decision for which none came within the window")
    range: Range = Field((0.0, 1.0), description="the lowest and the highest reward that a decision can have")
    kinds: dict[str, KindSpec] = Field(
        {"click": KindSpec()}, description="the kinds of reward that applications send, one table each"
    )
    guardrails: tuple[str, ...] = Field(
        (), description="kinds watched apart, of which more is harm; [rollout] guardrails says it for either direction"
    )

    @property
    def sells(self) -> bool:
        """True if some kind counts sales, so that a reward needs the margin of the arm shown."""
        return any(kind.sold for kind in self.kinds.values())


class GateSpec(Strict):
    """Conditions of promotion; every one is reported with its number and threshold."""

    alpha: float = Field(0.05, gt=0, lt=1, description="error of the whole sequence of looks, one-sided")
    margin: float = Field(0.0, description="reward per decision that the lift's lower bound must exceed")
    min_ess: float = Field(
        200.0, description="least effective number of rows, of either policy's weights and of their difference"
    )
    min_events: float = Field(
        5.0, ge=0, description="least effective number of telling rewards for the candidate, and against it"
    )
    min_units: float = Field(
        10.0, ge=1, description="least units of equal activity that the judged rows are worth: (Σ rows)² / Σ rows²"
    )
    min_rows: int = Field(1000, description="least rows that judge")
    max_weight_share: float = Field(0.05, description="most of all weight that one row may carry")
    guardrail_margin: float = Field(
        0.02, gt=0, le=1, description="share of a guardrail's range that a candidate must be shown not to lose"
    )
    guardrail_margins: dict[str, Annotated[float, Field(gt=0)]] = Field(
        {}, description="the same for one guardrail, in its own unit per decision"
    )
    looks: int = Field(
        0, ge=0, le=50, description="planned looks, evenly over `horizon`, and no others; 0: look whenever you like"
    )
    horizon: int = Field(0, ge=0, description="with looks: judged rows at the last of them (`croupier gate plan`)")

    @model_validator(mode="after")
    def _plan_is_whole(self) -> Self:
        if self.looks and self.horizon < self.looks * self.min_rows:
            least = f"at least {self.looks * self.min_rows:,}, min_rows for each of {self.looks} looks"
            raise ValueError(f"gate.horizon: found {self.horizon:,}, expected {least}; `croupier gate plan` tells")
        if self.horizon and not self.looks:
            raise ValueError(f"gate.looks: found 0 with horizon = {self.horizon:,}, expected 1 or more, or no horizon")
        return self


class TrainingSpec(Strict):
    """What is trained on, and when: a rolling window over all matured interactions, at a cadence of its own."""

    days: float = Field(30.0, gt=0, le=3650, description="days of matured interactions that a training reads")
    rows: int = Field(1_000_000, ge=100, description="most rows of a training; beyond, rows are kept by hash, weighted")
    every: Annotated[str, AfterValidator(duration)] = Field("6h", description="time between trainings: s, m, h or d")
    after_rows: int = Field(0, ge=0, description="train after so many newly matured rows; 0: by time alone")
    when: Literal["sooner", "later"] = Field(
        "sooner", description="with after_rows: train when the sooner, or the later, of both has come"
    )
    min_rows: int = Field(200, ge=2, description="matured rows in the window before the first training")
    catch_up_hours: int = Field(48, gt=0, description="most hours that one run of build_features joins and validates")
    unknown: float = Field(
        0.01,
        ge=0,
        lt=1,
        description="share of a feature's values in the window that its encoder does not know, above "
        "which their categories get columns at the next training",
    )
    adapt: bool = Field(
        True, description="learn only from the last change of the users on, where one is seen; false: the whole window"
    )


class RolloutSpec(Seasons):
    """How a candidate is exposed: shares of units, and what must be shown to go on (serving/ROLLOUT.md)."""

    stages: Annotated[tuple[float, ...], AfterValidator(rising_shares)] = Field(
        (0.05, 0.20, 0.50, 1.0), description="shares of units that a candidate climbs"
    )
    supersede: bool = Field(
        False, description="publish over a running rollout; false: a challenger waits until it has ended"
    )
    shadow: bool = Field(False, description="begin with a stage in which the candidate is scored, never served")
    min_decisions: int = Field(2000, ge=0, description="matured decisions, both roles, before a stage can be left")
    min_seconds: float = Field(0.0, ge=0, description="least time at a stage")
    max_seconds: float = Field(14 * DAY_SECONDS, gt=0, description="inconclusive by then: back to the champion")
    margins: tuple[float, ...] = Field(
        (0.30, 0.15, 0.0),
        description="to leave each stage the candidate must be shown to lose less than this share of the champion's "
        "reward; 0: to be better. The last one holds for all stages beyond",
    )
    alpha: float = Field(0.02, gt=0, lt=1, description="error of 'not worse than the margin', over all looks")
    alpha_harm: float = Field(0.018, gt=0, lt=1, description="error of 'lower reward' (abort), over all looks")
    alpha_guardrails: float = Field(0.002, gt=0, lt=1, description="error of all guardrails together, over all looks")
    latency_p99_ms: float = Field(
        50.0, gt=0, description="harm: 1 % more of the candidate's decisions than of the champion's are scored slower"
    )
    holdout: float = Field(
        0.01, ge=0, le=0.5, description="share of units kept back from a promoted release while it is watched; 0: none"
    )
    holdout_policy: Literal["predecessor", "uniform"] = Field(
        "predecessor", description="what these units get: the champion that was succeeded, or all arms alike"
    )
    watch_days: float = Field(
        14.0, gt=0, le=3650, description="so long a promoted release is watched against its hold-out, and rolled back"
    )
    watch_alpha: float = Field(
        0.01, gt=0, lt=1, description="error of rolling back a promoted release that is not worse, over its whole watch"
    )
    approval: bool = Field(False, description="a person must confirm the last step (in Airflow; silence rejects)")
    stale_seconds: float = Field(3 * HOUR_SECONDS, gt=0, description="no matured decision for so long: hold and alarm")
    guardrails: dict[str, Literal["lower", "higher"]] = Field(
        {}, description="kinds of reward watched apart, and the direction that is harm"
    )
    guardrail_ranges: dict[str, Range] = Field(
        {}, description="of a guardrail's total per decision, where it is not [0, 1]; evidence holds for this range"
    )


class Interaction(Strict):
    """A product feature of two declared ones, e.g. a = "context.age", b = "arm.price"."""

    a: str = Field(description="a declared feature, as SCOPE.NAME")
    b: str = Field(description="another one")


class AppSpec(Strict):
    """The whole of app.toml."""

    reward: RewardSpec = Field(RewardSpec(), description="what came of a decision, as one number")
    requests: RequestsSpec = Field(RequestsSpec(), description="what is taken of what callers send")
    record: RecordSpec = Field(RecordSpec(), description="which decisions of a client's own are taken")
    quality: QualitySpec = Field(QualitySpec(), description="how many broken rows an hour may have")
    context: dict[str, Feature] = Field({}, description="features of the request, one table each")
    arm: dict[str, Feature] = Field(
        {}, description="features of an arm, which the catalogue or a request holds, one table each"
    )
    arm_context: dict[str, Feature] = Field({}, description="features of this request and this arm, one table each")
    interactions: tuple[Interaction, ...] = Field((), description="products of two features, one [[interactions]] each")
    policies: PoliciesSpec = Field(PoliciesSpec(), description="what competes")
    training: TrainingSpec = Field(TrainingSpec(), description="what is trained on, and when")
    gate: GateSpec = Field(GateSpec(), description="when a candidate is promoted")
    refresh: RefreshSpec = Field(RefreshSpec(), description="when the champion is renewed")
    rollout: RolloutSpec = Field(RolloutSpec(), description="how a candidate is exposed")
    arms: ArmsSpec = Field(ArmsSpec(), description="arms that come and go")
    allocation: AllocationSpec = Field(AllocationSpec(), description="an option for each of several items, in a budget")
    health: HealthSpec = Field(HealthSpec(), description="how often health may be wrong, and what follows a change")
    rules: tuple[RuleSpec, ...] = Field((), description="arms that some requests are never given, one [[rules]] each")
    constraints: tuple[ConstraintSpec, ...] = Field(
        (), description="how often arms may, or must, be chosen, one [[constraints]] each"
    )
    safety: SafetySpec = Field(SafetySpec(), description="what is not worth a try, and what exploration may cost")
    slates: SlatesSpec = Field(SlatesSpec(), description="what every slate keeps: several arms at once, in order")
    retrieval: RetrievalSpec = Field(RetrievalSpec(), description="a shortlist for requests that list no arms")
    pricing: PricingSpec = Field(PricingSpec(), description="arms that are prices, and rewards that are profits")

    @model_validator(mode="after")
    def _default_within_range(self) -> Self:
        (low, high), default = self.reward.range, self.reward.default
        if not low <= default <= high:
            expected = f"a value within reward.range, {low:g} to {high:g}"
            raise ValueError(f"reward.default: found {default:g}, expected {expected}")
        return self

    @model_validator(mode="after")
    def _ranges_have_guardrails(self) -> Self:
        if odd := sorted(self.rollout.guardrail_ranges.keys() - self.guardrails.keys()):
            expected = f"declared guardrails: {', '.join(self.guardrails) or 'none is'}"
            raise ValueError(f"rollout.guardrail_ranges: found {', '.join(odd)}, expected {expected}")
        return self

    @model_validator(mode="after")
    def _constraints_agree(self) -> Self:
        agreement.check(self.rules, self.constraints, self.context, self.arm)
        agreement.check_slates(self.slates, self.arm)
        agreement.check_rewarded(self.constraints, self.reward.range[0])
        retrieval.check(self.retrieval, self.context, self.arm, self.arms.source)
        retrieval.check_learnt(self.retrieval, self.policies)
        agreement.check_served(self.rules, self.constraints, self.arms.source, allocates=self.allocation.declared)
        return self

    @model_validator(mode="after")
    def _policies_fit(self) -> Self:
        fitting.check(self.policies, self.allocation, self.safety)
        pricing.check(self.pricing, self.context, self.arm, self.arm_context)
        pricing.check_beside(self.pricing, self.policies, self.reward.default, allocates=self.allocation.declared)
        pricing.check_sold(self.pricing, [name for name, kind in self.reward.kinds.items() if kind.sold])
        fitting.check_conservative(
            self.safety, lowest=self.reward.range[0], source=self.arms.source, allocates=self.allocation.declared
        )
        return self

    @property
    def guardrails(self) -> dict[str, Literal["lower", "higher"]]:
        """Kinds of reward that the gate and the rollout watch apart, and the direction that is harm."""
        harm: dict[str, Literal["lower", "higher"]] = dict.fromkeys(self.reward.guardrails, "higher")
        return harm | self.rollout.guardrails

    @property
    def ruling(self) -> tuple[Strict, ...]:
        """What says which arms of a logged decision would not be offered now."""
        return (*self.rules, self.slates) if self.slates.declared else self.rules

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises SpecError naming the file, the entry and what was expected."""
        try:
            return cls.model_validate(refusals.parsed(path))
        except ValidationError as error:
            raise SpecError(f"{path} is not a valid app:\n{refusals.sentences(cls, error)}") from None
        except ValueError as error:
            raise SpecError(str(error)) from None
