"""The history of a run under attack, as plain data: what clients were told, what the log and the join hold, what the
rollout's journal and the account say. `checker.py` judges it; it knows nothing of how it came about."""

from dataclasses import dataclass, field

MODEL_ROLES = ("champion", "candidate", "holdout")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one caller was told. `asked`: the event id it asked with; a client's fallback has another `event_id`.
    `caller` numbers the threads: the answers of one of them follow one another in time."""

    caller: str
    asked: str
    event_id: str
    unit: str
    arm: str
    propensity: float
    release: int
    role: str


@dataclass(frozen=True, kw_only=True)
class Post:
    """A reward that was acknowledged: accepted, duplicate, unknown_event, or queued and then delivered."""

    event_id: str
    reward_id: str
    value: float
    status: str


@dataclass(frozen=True, kw_only=True)
class Logged:
    """A decision as the shipped log has it. `at` is UTC µs; `unit` is the unit's hash."""

    event_id: str
    at: int
    unit: str
    arms: tuple[str, ...]
    pmf: tuple[float, ...]
    arm: str
    propensity: float
    release: int
    role: str
    stage: str = ""


@dataclass(frozen=True, kw_only=True)
class Paid:
    """A reward as the shipped log has it."""

    event_id: str
    at: int
    reward_id: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Joined:
    """A decision with its reward as the interactions have it."""

    event_id: str
    arm: str
    propensity: float
    release: int
    reward: float
    reward_count: int


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One entry of the rollout's journal: from some moment on, `share` of the units of these releases, by `salt`."""

    releases: tuple[int, ...]
    stage: str
    share: float
    salt: str


@dataclass(frozen=True, kw_only=True)
class History:
    """Everything that is judged. `salts`: of every release that was published, the salt of its draws. `refused`:
    rejects of the log by what they were, 'decision' | 'reward' | 'duplicate' (a reward sent again)."""

    answers: list[Answer]
    posts: list[Post]
    log: list[Logged]
    paid: list[Paid]
    joined: list[Joined]
    account: dict[str, int]
    phases: list[Phase] = field(default_factory=list)
    salts: dict[int, str] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    thinned: int = 0
    window_us: int = 5_000_000
