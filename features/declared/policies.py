"""What competes for the traffic of an app, and how much of it explores: [policies] of app.toml. [refresh]: renewal."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from croupier.features.spec_values import Strict, distinct, duration, rising_shares

AUTO = "auto"


def _listed(names: object) -> object:
    """The word "auto" stands for itself alone in a list."""
    if isinstance(names, list | tuple) and AUTO in names and len(names) > 1:
        raise ValueError('expected "auto" by itself, or names of policies: the log chooses, or you do')
    if names != AUTO and not isinstance(names, list | tuple):
        raise ValueError(f'expected "{AUTO}", or names of policies in a list')
    return (AUTO,) if names == AUTO else names


class PoliciesSpec(Strict):
    """What competes: names of `croupier.models.policy.POLICIES`, each with its parameters, or ("auto",)."""

    candidates: Annotated[tuple[str, ...], BeforeValidator(_listed), AfterValidator(distinct)] = Field(
        ("vw_cb_adf", "neural_linear"),
        description='policies that each training trains and the gate judges; "auto": one or two that the log prefers',
    )
    parameters: dict[str, dict[str, object]] = Field(
        {}, description="of a candidate, one table each: [policies.parameters.NAME]"
    )
    floor: float = Field(0.02, ge=0, le=1, description="ε: every arm keeps at least ε/K")
    toward_candidate: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of ε that explores where an undecided candidate draws otherwise; every arm keeps the rest's "
        "ε/K. 0: all of it uniformly",
    )
    fast_loop: bool = Field(False, description="learn from rewards at once, and defaults as windows close")
    seed: int = Field(0, ge=0, description="of every random number in training and judging")
    train_share: float = Field(0.6, gt=0, lt=1, description="earlier share of the log, by time; the rest judges")

    @property
    def auto(self) -> bool:
        """True if the app's own log chooses the candidates (models/choosing.py)."""
        return self.candidates == (AUTO,)


class RefreshSpec(Strict):
    """When the champion's own family, retrained, replaces it: shown to lose less than `margin`."""

    margin: float = Field(0.10, gt=0, lt=1, description="share of the mean reward that a refresh may be shown to lose")
    alpha: float = Field(0.05, gt=0, lt=1, description="error of 'loses less than the margin', over a whole month")
    every: Annotated[str, AfterValidator(duration)] = Field(
        "1d", description="least age of what the champion learnt before it is renewed: s, m, h or d"
    )
    stages: Annotated[tuple[float, ...], AfterValidator(rising_shares)] = Field(
        (0.50, 1.0), description="shares of units that a refresh climbs, by the first margins of [rollout]"
    )
    on_change: bool = Field(
        True,
        description="where the users changed after the champion learnt, its refresh is judged by its rollout only",
    )
    after: Annotated[str, AfterValidator(duration)] = Field(
        "2d",
        description="age of what the champion learnt at which a refresh that the log can neither show nor refute is "
        "judged by its rollout only: s, m, h or d",
    )
    enabled: bool = Field(True, description="false: the champion changes by promotion alone")
