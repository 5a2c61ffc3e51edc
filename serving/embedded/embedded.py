"""The selector in the product's own process: the same calls as the client's, and no server.

    shop = Embedded("shop")
    chosen = shop.select(unit_id="u7", context={"age": 31})
    shop.reward(event_id=chosen.event_id, kind="click", value=1.0)

Each process follows the store by itself: a new release, and each stage of a rollout, within a second. Decisions and
rewards are on record before the call returns, in the log that `croupier turn` (or the DAGs) collects. Threads may
share one; each process of a server that forks (gunicorn, uvicorn) makes a host of its own at its first call.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from croupier.features.schema import InvalidEvent
from croupier.features.settings import Settings
from croupier.features.workspace import Workspace
from croupier.serving.client.errors import Refused, Unavailable
from croupier.serving.contract.allocations import Allocated, AllocateRequest, raw_or_error
from croupier.serving.contract.inline_arms import AskedArm
from croupier.serving.contract.requests import Raw, Request, Selection
from croupier.serving.contract.rewards import Outcome, encoded_rewards
from croupier.serving.contract.slates import Slate, SlateRequest
from croupier.serving.decide.records import Recorder
from croupier.serving.embedded.declared import declare
from croupier.serving.embedded.host import Host


class Embedded:
    """An app of this host, by the name of its folder below `var` (default: CROUPIER_VAR). Raises ValueError where it is
    not declared, or has no release yet. `follow_seconds`: how often it looks for a new release or stage."""

    def __init__(self, app: str = "default", *, var: Path | str | None = None, follow_seconds: float = 0.4) -> None:
        self._settings = Settings(app=app) if var is None else Settings(app=app, var=Path(var))
        self._every, self._forking, self._inherited = follow_seconds, threading.Lock(), list[Host]()
        self._closed = False
        self._begin()

    @classmethod
    def declared(
        cls, app: str, *, toml: str, arms: Mapping[str, Mapping[str, Any]], var: Path | str | None = None
    ) -> Self:
        """Opens an app that may be new: its app.toml and its arms (id → features) are written where it has none.
        Raises SpecError naming a key that is wrong, ValueError where another declaration is there."""
        declare(Settings(app=app) if var is None else Settings(app=app, var=Path(var)), toml, arms)
        return cls(app, var=var)

    def _begin(self) -> None:
        self._host, self._process = Host(Workspace(self._settings), every=self._every), os.getpid()

    def select(
        self,
        *,
        unit_id: str,
        context: Mapping[str, Any] | None = None,
        arms: Sequence[AskedArm] | None = None,
        arm_context: Sequence[Mapping[str, Any]] = (),
        event_id: str = "",
    ) -> Selection:
        """Selects one of `arms` (None: of all that can be chosen now, or of the shortlist that [retrieval] makes of
        them) for this unit: ids of the catalogue, or {"id", "features"} of arms that this request brings along. Reward
        it by the answer's `event_id`. Raises Refused, naming the field."""
        own = self._own().selector.release.retriever is not None and arms is None
        arms = () if own else self.arms() if arms is None else arms
        asked = Request(unit_id=unit_id, context=context or {}, arms=arms, arm_context=arm_context, event_id=event_id)
        (selection,) = self.select_batch([asked])
        if selection.error:
            raise Refused(selection.error)
        return selection

    def select_batch(self, requests: Sequence[Request]) -> list[Selection]:
        """Returns one selection a request, in order; a refused one carries its `error`, the others are served."""
        host = self._own()
        with host.turn:
            return host.selector.select(requests)

    def select_raw(self, raws: Sequence[Raw | InvalidEvent], *, recorder: Recorder | None = None) -> list[Selection]:
        """As `select_batch`, of requests that are JSON already, for those who serve others with it (serving/gateway).
        `recorder` keeps the decisions in the place of the log (features/log/deferred.py)."""
        host = self._own()
        with host.turn:
            selector = host.selector if recorder is None else host.selector.recording_in(recorder)
            return selector.select_raw(raws)

    def select_slate(
        self,
        *,
        unit_id: str,
        context: Mapping[str, Any] | None = None,
        arms: Sequence[AskedArm] | None = None,
        k: int = 0,
        slots: Sequence[Mapping[str, Any]] = (),
        arm_context: Sequence[Mapping[str, Any]] = (),
        event_id: str = "",
        minimums: Sequence[Mapping[str, Any]] = (),
    ) -> Slate:
        """Selects `k` of `arms`, in order, or one for each of `slots`, which are the features that each adds to the
        context; `minimums`, [{"arms", "slots"}, …], holds so many slots to some arms. Each slot is a decision, to be
        rewarded by its own event_id. All slots are on record, or none. Raises Refused, naming the field."""
        asked = SlateRequest(
            unit_id=unit_id,
            context=context or {},
            arms=self.arms() if arms is None else arms,
            slots=slots,
            arm_context=arm_context,
            event_id=event_id,
            k=k,
            minimums=minimums,
        )
        (slate,) = self.select_slates([asked])
        if slate.error:
            raise Refused(slate.error)
        return slate

    def select_slates(self, asked: Sequence[SlateRequest]) -> list[Slate]:
        """Returns one slate a request, in order; a refused one carries its `error`, the others are served."""
        host = self._own()
        with host.turn:  # one release decides all slots
            return host.selector.select_slates(asked, host.spool)

    def allocate(
        self,
        *,
        unit_id: str,
        items: Sequence[Mapping[str, Any]],
        total: float | None = None,
        context: Mapping[str, Any] | None = None,
        options: Sequence[AskedArm] | None = None,
        event_id: str = "",
    ) -> Allocated:
        """Gives each item an option, with the sum of their costs within the total: see AllocateRequest for what items
        and options are. All items are on record, or none. Raises Refused, naming the field."""
        asked = AllocateRequest(
            unit_id=unit_id, items=items, total=total, context=context, options=options, event_id=event_id
        )
        (found,) = self.allocate_batch([asked])
        if found.error:
            raise Refused(found.error)
        return found

    def allocate_batch(self, requests: Sequence[AllocateRequest]) -> list[Allocated]:
        """Returns one allocation a request, in order; a refused one carries its `error`, the others are served."""
        host, raws = self._own(), list(map(raw_or_error, requests))
        with host.turn:
            return host.allocations().allocate(raws)

    def reward(self, *, event_id: str, kind: str, value: float, reward_id: str = "", at: int = 0) -> Outcome:
        """What came of a decision; `at` is UTC µs (0: now). Status accepted | duplicate | unknown_event or
        elsewhere (on record; its decision is not in this host's log). Raises Refused naming the field."""
        reward = {"event_id": event_id, "kind": kind, "value": value, "reward_id": reward_id, "at": at}
        (outcome,) = self.reward_batch([reward])
        if outcome.error:
            raise Refused(outcome.error)
        return outcome

    def reward_batch(self, rewards: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        """Mappings of reward()'s arguments; one outcome each, a rejected one with its `error`."""
        outcomes, rows = encoded_rewards(rewards)
        places, raws = [i for i, _ in rows], [raw for _, raw in rows]
        if outcomes:
            self._own().rewards.keep_refused(list(outcomes.values()))
        outcomes |= dict(zip(places, self._own().rewards.take(raws), strict=True))
        return [outcomes[i] for i in range(len(rewards))]

    def arms(self) -> list[str]:
        """The ids of the arms that can be chosen now."""
        return self._own().selector.arms()

    @property
    def release(self) -> int:
        """The number of the release that decides now."""
        return self._own().selector.release.number

    @property
    def host(self) -> Host:
        """What this process holds open, for those who serve others with it (serving/gateway)."""
        return self._own()

    def close(self) -> None:
        """Ends its threads and closes the log; what was answered is on record. Calls after it raise Unavailable."""
        self._closed = True
        if self._process == os.getpid():
            self._host.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _own(self) -> Host:
        """This process's host. That of the parent is kept, and not closed: SQLite would give up the parent's locks.
        Raises Unavailable after `close`."""
        if self._closed:
            expected = "an open one: make another, Embedded(app)"
            raise Unavailable(f"Embedded: found that it was closed, expected {expected}", reason="closed")
        if self._process != os.getpid():
            with self._forking:
                if self._process != os.getpid():
                    self._host.abandon()
                    self._inherited.append(self._host)
                    self._begin()
        return self._host
