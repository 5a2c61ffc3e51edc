"""What one worker of the gateway decides with: the embedded selector, and the decisions that wait for activation."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from croupier.features import clock
from croupier.features.ids import hash_unit, uuid7s
from croupier.features.log import deferred
from croupier.features.log.spool_file import SpoolUnavailable
from croupier.features.schema import InvalidEvent
from croupier.features.slates.so_far import Shown
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.utc import HOUR, SECOND
from croupier.features.workspace import Workspace
from croupier.serving.contract.requests import CANARY, Raw, Request, Selection, identifier, utf8
from croupier.serving.embedded.embedded import Embedded
from croupier.serving.gateway import configuration
from croupier.serving.gateway.options import IGNORE, Options
from croupier.serving.gateway.problems import CallProblem
from croupier.serving.gateway.ranking import multislot, rank
from croupier.serving.gateway.ranking.features import FeatureRule, KnownNames
from croupier.serving.gateway.ranking.multislot import Page
from croupier.serving.gateway.ranking.pages import DeferrablePage
from croupier.serving.gateway.ranking.rank import Rank
from croupier.serving.gateway.ranking.rewards import RewardDesk
from croupier.serving.learning.window_closer import WindowCloser

log = logging.getLogger(__name__)
EXPIRE_SECONDS = 60.0


class Desk:
    """Open until `close()`. Its calls block, so they run in threads. Raises ValueError where the app is not declared,
    or nobody can say which kind Personalizer's rewards are."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.reward_kind = kind_of_rewards(Workspace.known(options.app), options.reward_kind)
        self.embedded = Embedded(options.app)
        self.rule = FeatureRule(options.unknown == IGNORE, self._app_ignores)
        self.answers: Counter[int] = Counter()  # by status
        self._expiry = WindowCloser(self.expire, EXPIRE_SECONDS)
        self.rewards = RewardDesk(self.embedded, self.reward_kind, self.since)
        self._known = KnownNames.of(self.embedded.host.selector.release)

    def close(self) -> None:
        """What was answered is on record."""
        self._expiry.close()
        self.embedded.close()

    def expire(self) -> None:
        """Forgets what was deferred and never activated; it is called once a minute, so it tells and raises nothing."""
        try:
            deferred.expire(self.embedded.host.spool, self.since())
        except (SpoolUnavailable, OSError) as error:
            log.warning("deferred decisions did not expire: %s", error)

    def rank(self, body: dict[str, Any]) -> dict[str, Any]:
        """Decides, as Personalizer's rank. Raises CallProblem."""
        (found,) = self.ranks([body])
        if isinstance(found, CallProblem):
            raise found
        return found

    def ranks(self, bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any] | CallProblem]:
        """Decides several ranks together: the answer to each, or what is wrong with it, in their order."""
        known = self.known()
        asked = [self._asked(body, known, fresh) for body, fresh in zip(bodies, uuid7s(len(bodies)), strict=True)]
        good = [each for each in asked if isinstance(each, Rank)]
        waiting = iter(self._deferred([each.raw for each in good if each.deferred]))
        shown = iter(self._decided([each for each in good if not each.deferred]))
        return [
            each if isinstance(each, CallProblem) else _answer(each, next(waiting if each.deferred else shown))
            for each in asked
        ]

    def activate(self, event_id: str) -> None:
        """The event was shown: it is a decision from now on. Raises CallProblem where there is none of this id."""
        try:
            identifier("eventId", utf8("eventId", event_id))
        except InvalidEvent as error:
            raise CallProblem.of(str(error)) from None
        if not self._activated(event_id):
            seconds = (self._now() - self.since()) / SECOND
            expected = f"an event that was ranked on this host, and activated within {seconds:g} s"
            raise CallProblem.of(str(InvalidEvent("eventId", event_id, expected)))

    def multislot(self, body: dict[str, Any]) -> dict[str, Any]:
        """Decides for several slots, as Personalizer's multi-slot rank: all of them, or none, in one write to disk.
        Raises CallProblem."""
        try:
            mode = self._apprentice()
            page = multislot.read(body, self.known(), self.rule, app=self.options.app, apprentice=mode)
            if page.deferred:
                self._room(len(page.slots))
            while True:
                log = self._page_log(page)
                with self.embedded.host.turn:  # one release decides all slots
                    shown = self._slots(page, log)
                if log.commit():
                    break
        except InvalidEvent as error:
            raise CallProblem(400, str(error), field=error.field) from None
        except SpoolUnavailable as error:
            raise CallProblem.of(f"log: {error}") from None
        pairs = zip(page.slots, shown, strict=True)
        return {
            "slots": [{"id": slot["id"], "rewardActionId": arm} for slot, arm in pairs],
            "eventId": page.event_id,
        }

    def _page_log(self, page: Page) -> DeferrablePage:
        """Raises NotAdmitted where the page is on record with other slots."""
        return DeferrablePage(
            self.embedded.host.spool,
            page.event_id,
            [slot["id"] for slot in page.slots],
            unit=self._unit(page.event_id),
            since=self.since(),
            waits=page.deferred,
        )

    def _unit(self, event_id: str) -> str:
        """The unit of a page, hashed."""
        return hash_unit(self.embedded.host.selector.unit_key, event_id)

    def _slots(self, page: Page, log: DeferrablePage) -> list[str]:
        """The action of each slot. Raises CallProblem, InvalidEvent."""
        known, shown, above = self.known(), list[str](), list[Shown]()
        for place in range(len(page.slots)):
            asked = page.slot(place, above, known, self.rule, app=self.options.app)
            (chosen,) = self.embedded.select_raw([asked.raw], recorder=log)
            if isinstance(found := _answer(asked, chosen), CallProblem):
                raise found.renamed(page.names(place))
            shown.append(found["rewardActionId"])
            above.append(asked.listed(shown[-1]))
        return shown

    def activate_slots(self, event_id: str) -> None:
        """The page was shown: its slots are decisions from now on. Raises CallProblem where none of it waits."""
        spool, since = self.embedded.host.spool, self.since()
        try:
            shown = deferred.show(spool, deferred.below(spool, event_id, since=since), since=since)
        except SpoolUnavailable as error:
            raise CallProblem.of(f"log: {error}") from None
        if not shown:
            expected = "a page that was ranked with deferActivation on this host, and is activated once"
            raise CallProblem.of(str(InvalidEvent("eventId", event_id, expected)))

    def service(self) -> dict[str, Any]:
        """Personalizer's service configuration. Raises CallProblem, 404, where this host has no app.toml to say it."""
        toml = self.embedded.host.w.home / layout.APP_TOML
        if not toml.exists():
            raise CallProblem(404, f"configuration: found no {toml} on this host, expected the app's declaration")
        return configuration.service(AppSpec.read(toml), self.reward_kind)

    def policy(self) -> dict[str, Any]:
        """Personalizer's learning policy: that of the champion."""
        release = self.embedded.host.selector.release
        return configuration.policy(release.champion, release.number)

    def logs(self) -> dict[str, Any]:
        """From when to when decisions are in the store."""
        return configuration.logs(self.embedded.host.w.store)

    def _app_ignores(self) -> bool:
        declared = self.embedded.host.declared()
        return declared is not None and declared.ignore_unknown

    def _apprentice(self) -> bool:
        declared = self.embedded.host.declared()
        return declared is not None and declared.apprentice

    def known(self) -> KnownNames:
        """What the release that decides now knows."""
        release = self.embedded.host.selector.release
        if release.number != self._known.release:
            self._known = KnownNames.of(release)
        return self._known

    def since(self) -> int:
        """UTC µs: what was deferred before has expired. It is the age at which a client's own decision is refused."""
        admission = self.embedded.host.declared()
        return self._now() - (admission.record_us if admission else 2 * HOUR)

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Whether it decides, and could put that on record (tried, never recorded), and what there is to watch; counts
        are this worker's."""
        wrong, spool = self._wrong(), self.embedded.host.spool
        found = {
            "app": self.options.app,
            "well": not wrong,
            "release": self.embedded.release,
            "arms": len(self.embedded.arms()),
            "unshipped": spool.unshipped(),
            "deferred": {"waiting": deferred.waiting(spool), "expired": int(str(spool.noted(deferred.EXPIRED) or 0))},
            "worker": {
                "pid": os.getpid(),
                "answers": {str(status): n for status, n in sorted(self.answers.copy().items())},
                "ignored_features": dict(self.rule.counted().most_common(100)),
                "apprentice": self._agreed(),
            },
        }
        return not wrong, found | ({"error": wrong} if wrong else {})

    def _wrong(self) -> str:
        """Why no decision can be made and put on record; empty where one can."""
        (selection,) = self.embedded.select_batch([Request(unit_id=CANARY, context={}, arms=["any"])])
        try:
            self.embedded.host.spool.refuse_unwritable()
        except SpoolUnavailable as error:
            return f"log: {error}"
        return selection.error

    def _agreed(self) -> dict[str, float]:
        """How many decisions were made in apprentice mode, and in which share the policy would have chosen alike."""
        meter = self.embedded.host.meter
        made = meter.counted("croupier_apprentice_decisions_total")
        agreed = meter.counted("croupier_apprentice_agreed_total")
        return {"decisions": made, "agreed": agreed / made if made else 0.0}

    def _asked(self, body: dict[str, Any], known: KnownNames, fresh: str) -> Rank | CallProblem:
        try:
            return rank.read(body, known, self.rule, app=self.options.app, fresh=fresh)
        except InvalidEvent as error:
            return CallProblem(400, str(error), field=error.field)

    def _decided(self, asked: Sequence[Rank]) -> list[Selection]:
        """An event that was deferred before, and is asked for again without, is shown now. Raises SpoolUnavailable."""
        named = [each.event_id for each in asked if each.named]
        deferred.show(self.embedded.host.spool, named, since=self.since())
        return self.embedded.select_raw([each.raw for each in asked]) if asked else []

    def _deferred(self, requests: Sequence[Raw | InvalidEvent]) -> list[Selection | CallProblem]:
        """As many as there is room for; the others are told so. Raises CallProblem where the log fails."""
        if not requests:
            return []
        spool, since = self.embedded.host.spool, self.since()
        try:
            room = self._left()
            keeping = deferred.Deferring(spool, since=since)
            chosen = self.embedded.select_raw(requests[:room], recorder=keeping) if room else []
        except SpoolUnavailable as error:
            raise CallProblem.of(f"log: {error}") from None
        return [*chosen, *(self._full() for _ in requests[room:])]

    def _left(self) -> int:
        """For how many more decisions that wait there is room. Raises SpoolUnavailable."""
        spool = self.embedded.host.spool
        deferred.expire(spool, self.since())
        return max(0, self.options.deferred - deferred.waiting(spool))

    def _room(self, slots: int) -> None:
        """Raises CallProblem, 429, where so many more cannot wait."""
        if self._left() < slots:
            raise self._full()

    def _full(self) -> CallProblem:
        said = f"found {self.options.deferred} decisions that wait, expected fewer: activate them"
        return CallProblem(429, f"deferActivation: {said}", field="deferActivation")

    def _activated(self, event_id: str) -> bool:
        try:
            return deferred.activate(self.embedded.host.spool, event_id, since=self.since())
        except SpoolUnavailable as error:
            raise CallProblem.of(f"log: {error}") from None

    @staticmethod
    def _now() -> int:
        return clock.now_us()


def _answer(asked: Rank, chosen: Selection | CallProblem) -> dict[str, Any] | CallProblem:
    if isinstance(chosen, CallProblem):
        return chosen
    return CallProblem.of(asked.renamed(chosen.error)) if chosen.error else asked.answer(chosen)


def kind_of_rewards(w: Workspace, asked: str) -> str:
    """The kind that Personalizer's rewards are of: the one asked for, else the app's only kind. Raises ValueError."""
    toml = w.home / layout.APP_TOML
    if not toml.exists():  # a host that only shares the store; what comes is checked by what the release carries
        if not asked:
            raise ValueError(f"--reward-kind: found no {toml}, expected to be told the kind of Personalizer's rewards")
        return asked
    spec = AppSpec.read(toml)
    declared = [*spec.reward.kinds, *spec.guardrails]
    if asked and asked not in declared:
        raise ValueError(f"--reward-kind: found {asked!r}, expected a kind of app.toml: {', '.join(declared)}")
    kinds = list(spec.reward.kinds)
    if not asked and len(kinds) != 1:
        expected = "expected to be told which of them Personalizer's rewards are"
        raise ValueError(f"--reward-kind: found {len(kinds)} kinds in app.toml ({', '.join(kinds)}), {expected}")
    return asked or kinds[0]
