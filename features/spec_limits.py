"""Sections of app.toml that are limits alone: what is taken, what stops an hour, how often a page may be wrong."""

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """A section: an unknown key is an error, and numbers are finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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
    """How often the health page may raise an alarm although nothing is wrong."""

    false_alarms: float = Field(0.5, gt=0, le=100, description="most false alarms a month, all watches together")
