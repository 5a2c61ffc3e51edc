"""Kinds of values in app.toml and what makes them valid, and the sections that are limits alone."""

from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    ValidationInfo,
    field_validator,
)

from croupier.features.utc import DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    if not ends[0] < ends[1]:
        raise ValueError("expected the lower end first, and a higher one")
    return ends


def rising_shares(shares: tuple[float, ...]) -> tuple[float, ...]:
    """Stages of a rollout. Raises ValueError."""
    if list(shares) != sorted(set(shares)) or not shares or shares[0] <= 0 or shares[-1] != 1.0:
        raise ValueError("expected rising shares of units in (0, 1] that end with 1.0")
    return shares


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of policies. Raises ValueError."""
    if not names or len(set(names)) != len(names):
        raise ValueError("expected at least one policy, each named once")
    return names


def printable(name: str) -> str:
    """Checks a name that stands in answers, metrics and reports. Raises ValueError."""
    if not name.isprintable() or name != name.strip():
        raise ValueError("expected a name of one line, without control characters, or spaces around it")
    return name


LONGEST_DAYS = 36_500  # of a duration: before and after now, both are years that a date can have


def duration(text: str) -> str:
    """Checks a text that is one. Raises ValueError."""
    seconds_of(text)
    return text


def seconds_of(text: str) -> float:
    """Seconds of a duration such as "90s", "30m", "6h" or "1d". Raises ValueError."""
    number, unit = text[:-1], text[-1:]
    seconds = {"s": 1.0, "m": MINUTE_SECONDS, "h": HOUR_SECONDS, "d": DAY_SECONDS}.get(unit, 0.0)
    try:
        value = float(number) * seconds
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError('expected a number and one of s, m, h, d, for example "6h"')
    if value > LONGEST_DAYS * DAY_SECONDS:
        raise ValueError(f"expected {LONGEST_DAYS:,} days at most")
    return value


def unquoted(kind: Any, value: object) -> None:
    """Raises ValueError where `value`, of type `kind`, has a text or a truth for a number, or no truth for one:
    pydantic would take "0.5" for 0.5, true for 1.0 and "no" for false."""
    if get_origin(kind) in (tuple, dict):
        kinds = [each for each in get_args(kind) if each is not ...]
        values = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
        for each in values:
            unquoted(kinds[-1], each)
    elif get_origin(kind) in (Annotated, UnionType, Union):  # of a union only what may be missing: Clip | None
        unquoted(get_args(kind)[0], value)
    elif kind in (int, float) and isinstance(value, (bool, str)):
        raise ValueError("expected a number" + ", without quotes" * isinstance(value, str))
    elif kind is bool and not isinstance(value, bool):
        raise ValueError("expected true or false, without quotes")


class Strict(BaseModel):
    """A section: an unknown key is an error, numbers are finite, and neither they nor truths stand in quotes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _unquoted(cls, value: Any, info: ValidationInfo) -> Any:
        unquoted(cls.model_fields[info.field_name or ""].annotation, value)
        return value


NO_SEASON = "none"


def season_length(text: str) -> str:
    """Checks a text that is a duration, or "none". Raises ValueError."""
    return text if text == NO_SEASON else duration(text)


class Seasons(Strict):
    """What a rollout's evidence is counted over: whole seasons, decisions or units."""

    season: Annotated[str, AfterValidator(season_length)] = Field(
        "24h", description="after it hours are alike again: stages are decided on whole ones; none: at any look"
    )
    swing: float = Field(
        0.25, ge=0, lt=1, description="before a season is over only a loss beyond this share of the reward aborts"
    )
    per: Literal["decision", "unit"] = Field(
        "unit", description="what counts once: a unit in each hour of a season (its decisions' mean), or a decision"
    )

    @property
    def season_seconds(self) -> float:
        """The length of a season; 0 where none is declared."""
        return 0.0 if self.season == NO_SEASON else seconds_of(self.season)


Range = Annotated[tuple[float, float], AfterValidator(_rising)]
Name = Annotated[str, AfterValidator(printable)]
End = Annotated[float, Field(allow_inf_nan=True)]
Clip = Annotated[tuple[End, End], AfterValidator(_rising)]  # on one side only: the other end is inf


REFUSE, IGNORE = "refuse", "ignore_and_count"  # undeclared features
ONLINE, APPRENTICED = "online", "apprentice"  # who chooses: the policy, or the app itself


class RequestsSpec(Strict):
    """What is taken of what callers send."""

    unknown_features: Literal["refuse", "ignore_and_count"] = Field(
        "refuse",
        description="a request with a feature that is not declared is refused by name, or answered without it: such "
        "values are counted by name, and `croupier health` says so; holds at once",
    )
    learning_mode: Literal["online", "apprentice"] = Field(
        "online",
        description="apprentice: each request is answered with the first arm that it lists, which the app would have "
        "chosen by itself; policies learn to choose it, and how often they would have is counted; holds at once",
    )


class RecordSpec(Strict):
    """Which decisions of a client's own (its fallbacks) are taken on record."""

    floor: float = Field(0.02, gt=0, le=1, description="ε: the shown arm of K had probability ε/K at least")
    seconds: float = Field(
        0.0, ge=0, description="oldest age of a decision that is sent later; 0: the reward window and an hour"
    )


class QualitySpec(Strict):
    """When rows that break a rule stop their hour."""

    quarantine: float = Field(
        0.01,
        ge=0,
        lt=1,
        description="largest share of an hour's rows that may break a row rule: they are quarantined "
        "and the rest goes on; above, the hour waits for `croupier quarantine release` or `drop`",
    )


class HealthSpec(Strict):
    """How often the health page may raise an alarm although nothing is wrong, and what a change of the users does."""

    false_alarms: float = Field(0.5, gt=0, le=100, description="most false alarms a month, all watches together")
    on_change: Literal["alarm", "discount", "reset_head"] = Field(
        "alarm",
        description="what follows where a segment's taste turned or an arm fades, surely: an alarm alone; or, beside "
        "it, trainings that count older rows at `discount`, or leave them out",
    )
    discount: float = Field(
        0.1, gt=0, lt=1, description='with on_change = "discount": what a row from before the change counts'
    )
    reward_change: float | None = Field(
        None,
        gt=0,
        description="a rule of thumb, beside the watches: alarm too where mean, variance, 5th or 95th percentile of a "
        "day's rewards is off by more than this share from the same day a week ago (0.2 is often published); how often "
        "it is wrong is not known",
    )


class ArmsSpec(Strict):
    """Where arms come from, and how much traffic one that is added gets until something is known of it."""

    source: Literal["catalogue", "request", "both"] = Field(
        "catalogue",
        description="where the arms of a request come from: catalogue.json, the request itself, with their features, "
        "or both; served from the next release on",
    )
    new_floor: float = Field(
        0.05, ge=0, lt=1, description="share of the decisions that list new arms, split evenly among those arms"
    )
    new_until: int = Field(1000, ge=0, description="decisions in which an arm was shown, until it is new no more")


class SafetySpec(Strict):
    """Which candidates are not worth a try, since they are surely worse than another one; and how little exploration
    may ever cost, beside what a baseline would have earned."""

    never_dominated: bool = Field(
        False,
        description="a candidate whose upper bound lies below another's lower bound, for this context, is not drawn; "
        "served from the next release on, or at once by `croupier constraints release`",
    )
    confidence: float = Field(
        0.95,
        gt=0,
        lt=1,
        description="probability that the bounds of all candidates of a request hold at once; of `conservative`, that "
        "the running value never falls below what is promised",
    )
    conservative: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="the part of the baseline's running value that all decisions together may ever lose; 0: nothing is "
        "promised; served from the next release on, or at once by `croupier constraints release`",
    )
    baseline: str = Field(
        "uniform",
        min_length=1,
        description='of `conservative`, what is done today: "uniform", the id of an arm (where it is no candidate: '
        'uniform), or "release 12": the champion of that release, as it was released',
    )


class MinimumSpec(Strict):
    """So many slots of every slate show arms of a category. A slot offers all arms that are left while there are slots
    to spare, and from then on those alone that are still asked for. A slate that cannot keep them is refused."""

    feature: str = Field(description="a categorical feature of [arm], the same for all minimums")
    value: StrictStr | StrictBool = Field(description="the arms that are meant: those whose feature is this")
    least: int = Field(1, ge=1, le=100, description="slots of each slate that show one of them, at least")


class SlatesSpec(Strict):
    """What every slate (`select_slate`, several slots of the gateway) keeps, at each door; served from the next release
    on, or at once by `croupier constraints release`."""

    diversity: float = Field(
        0.0,
        ge=0,
        le=1,
        description="what comes off the score of an arm that is wholly like one above it, as a share of the width of "
        "reward.range; likeness is the share of [arm]'s categorical features that two arms have in common",
    )
    minimums: tuple[MinimumSpec, ...] = Field((), description="categories of arms that every slate shows some of")

    @property
    def declared(self) -> bool:
        """True where app.toml asks anything of slates."""
        return bool(self.minimums or self.diversity)


OF_ITEMS, OF_REQUESTS = "items", "request"  # what a reward of an allocated request is of
NotNegative = Annotated[float, Field(ge=0)]


class AllocationSpec(Strict):
    """Requests to allocate: an option for each of several items, with the sum of their costs within a total."""

    costs: dict[str, NotNegative] = Field(
        {}, description="what an option, which is an arm, costs: one entry each; a request may say it instead"
    )
    total: float = Field(0.0, ge=0, description="the total of requests that bring none of their own; 0: each must")
    relevance: float = Field(1.0, ge=0, description="weight of the expected reward of all items")
    coverage: float = Field(0.0, ge=0, description="what it is worth, in units of the reward, to cover all regions")
    spare: float = Field(0.0, ge=0, description="what it is worth, in units of the reward, to spend nothing")
    covers: tuple[str, ...] = Field((), description="options that cover the region of their item")
    rewards: Literal["items", "request"] = Field(
        "items", description="what is rewarded: items, each by its event, or whole requests, by theirs"
    )

    @property
    def declared(self) -> bool:
        """True where app.toml says anything of allocations."""
        return self != AllocationSpec()

    @property
    def weights(self) -> tuple[float, float, float]:
        """Weights of the objective: relevance, coverage, spare."""
        return self.relevance, self.coverage, self.spare
