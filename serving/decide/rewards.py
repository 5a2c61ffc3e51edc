"""What becomes of a reward on receipt: accepted, a duplicate, kept for a decision not seen yet, or rejected by name.

A malformed reward is never counted as zero: it is kept among the rejects and its sender is told which field is wrong.
So is one that the app does not declare: of another kind, out of its range, of an absurd time
(features/log/admission.py).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from croupier.features.clock import now_us
from croupier.features.log.admission import Admission
from croupier.features.log.refusals import noted
from croupier.features.log.spool_file import SpoolUnavailable
from croupier.features.schema import Decision, InvalidEvent, Reward
from croupier.serving.contract.rewards import (
    ACCEPTED,
    DUPLICATE,
    ELSEWHERE,
    REJECTED,
    UNKNOWN_EVENT,
    Outcome,
    RawReward,
    decode,
)
from croupier.serving.decide import request_rewards


def refused(error: InvalidEvent) -> Outcome:
    """Returns the outcome of an event that breaks the contract."""
    return Outcome(REJECTED, str(error), getattr(error, "reason", ""))


class RewardLog(Protocol):
    """What is needed of croupier.features.log.spool.Spool."""

    def append_rewards(self, rewards: Sequence[Reward]) -> list[bool]:
        """Puts rewards on record; returns for each whether it was new."""

    def append_rejects(self, rejects: Sequence[tuple[str, str, bytes, str, int]]) -> None:
        """Puts refused rewards on record, with their reasons."""

    def find(self, event_ids: Sequence[str]) -> dict[str, Decision]:
        """Returns the decisions of these events that are on record, by event id."""


def undeclared() -> None:
    """Where no app is declared yet: any kind of reward, any finite value."""


class Rewards:
    """Takes rewards in. `learn()` is called when some are new, before they are answered; `declared()` gives what the
    app lets in. `of_fleet`: other hosts decide for the same app, and a reward of theirs is passed on to them."""

    def __init__(
        self,
        log: RewardLog,
        *,
        declared: Callable[[], Admission | None] = undeclared,
        learn: Callable[[], object] | None = None,
        clock: Callable[[], int] = now_us,
        of_fleet: bool = False,
    ) -> None:
        self._strange = ELSEWHERE if of_fleet else UNKNOWN_EVENT
        self._log, self._declared, self._learn, self._clock = log, declared, learn, clock

    def take(self, raws: Sequence[RawReward]) -> list[Outcome]:
        """Takes rewards and returns one outcome a reward, in order; on record when it returns. Never raises for what a
        caller sent."""
        now, admission = self._clock(), self._declared()
        outcomes: list[Outcome | None] = [None] * len(raws)
        good: list[tuple[int, Reward]] = []
        rejects: list[tuple[str, str, bytes, str, int]] = []
        for i, raw in enumerate(raws):
            try:
                reward = decode(raw, now)
                good.append((i, admission.reward(reward) if admission else reward))
            except InvalidEvent as error:
                outcomes[i] = refused(error)
                rejects.append(("reward", error.field, _shown(raw), noted(error), now))
        try:
            if rejects:
                self._log.append_rejects(rejects)
            kept = self._keep([reward for _, reward in good], admission, now)
        except SpoolUnavailable as error:
            kept = [Outcome(REJECTED, f"log: {error}; send it again")] * len(good)
        for (i, _), outcome in zip(good, kept, strict=True):
            outcomes[i] = outcome
        return [o for o in outcomes if o is not None]

    def keep_refused(self, refusals: Sequence[Outcome]) -> None:
        """Keeps rewards that no wire carries (a truth value, a text, a number beyond floats) among the rejects, so that
        they are counted; their senders know already. Where the log is out of reach they are not."""
        now = self._clock()
        rejects = [("reward", o.error.partition(":")[0], b"", o.error, now) for o in refusals]
        with suppress(SpoolUnavailable):
            self._log.append_rejects(rejects)

    def _keep(self, rewards: list[Reward], admission: Admission | None, now: int) -> list[Outcome]:
        if not rewards:
            return []
        spread = request_rewards.spread(rewards, admission.allocation if admission else None, self._log)
        errors = [(r, e) for r, e in zip(rewards, spread, strict=True) if isinstance(e, InvalidEvent)]
        if errors:
            self._log.append_rejects([("reward", e.field, r.event_id.encode(), noted(e), now) for r, e in errors])
        each = [r for part in spread if not isinstance(part, InvalidEvent) for r in part]
        new = iter(self._log.append_rewards(each)) if each else iter(())
        decisions = self._log.find([r.event_id for r in each])
        found = [part if isinstance(part, InvalidEvent) else (part, [next(new) for _ in part]) for part in spread]
        if decisions and self._learn is not None and any(any(f[1]) for f in found if isinstance(f, tuple)):
            self._learn()
        return [_fate(each, decisions, self._strange) for each in found]


def _fate(
    found: InvalidEvent | tuple[list[Reward], list[bool]], decisions: Mapping[str, Decision], strange: str
) -> Outcome:
    if isinstance(found, InvalidEvent):
        return refused(found)
    rewards, new = found
    return Outcome(DUPLICATE if not any(new) else ACCEPTED if rewards[0].event_id in decisions else strange)


def _shown(raw: RawReward) -> bytes:
    return b" ".join((raw.event_id[:256], raw.kind[:256], repr(raw.value).encode(), raw.reward_id[:256]))
