"""Whose rewards a head learns: from what time on, and from which place in the log.

A head that was trained on a window holds every decision before the window's end. What was decided later, by whichever
release, is not in it yet: the fast loop learns it when the policy is released, so that nothing is lost between a
training and its release. A head that is released again (promoted, kept back) has learnt a part of that already: its
place in the log of the host where it learnt it goes along in the manifest, and learning goes on from there.

    meta["learning"][role] = {"since": µs, "spool": id, "cursor": row of the rewards, "closing": id, "apart": bool}

While a candidate is tried, either role learns from its own decisions alone (`apart`): each is then worth what it would
be worth without the other, so that what is promoted is what was shown. What was decided before, both learn.

Without an entry, as in releases of older versions and policies from elsewhere: the release's own decisions alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from croupier.features.schema import APPRENTICE, CANDIDATE, CHAMPION, Decision, InvalidEvent
from croupier.serving.learning.learning_steps import START, Position
from croupier.serving.release.bundle import LoadedRelease

META = "learning"  # entry of a release's meta
APART = "apart"
_PLACE = ("spool", "cursor", "closing")


@dataclass(frozen=True)
class Scope:
    """The decisions that one head learns: those made at or after `since` (UTC µs), by no later release than its own,
    or, where that is None, those of `releases`: its own, and those that it continues. `place` is where it stands in
    the log that `spool` names. What the role `other` decided in `releases` is not learnt."""

    releases: frozenset[int]
    since: int | None = None
    spool: str = ""
    place: Position = START
    other: str = ""

    @classmethod
    def of(cls, release: LoadedRelease, role: str) -> Self:
        """Returns the scope that the release's manifest declares."""
        row: Mapping[str, Any] = release.manifest["meta"].get(META, {}).get(role, {})
        releases = frozenset({release.number, *release.continues})
        other = {CHAMPION: CANDIDATE, CANDIDATE: CHAMPION}[role] if row.get(APART) else ""
        if "since" not in row:
            return cls(releases, other=other)
        place = Position(int(row["cursor"]), int(row["closing"])) if "spool" in row else START
        return cls(releases, int(row["since"]), str(row.get("spool", "")), place, other)

    @property
    def only(self) -> frozenset[int] | None:
        """The releases whose decisions these are; None: of any."""
        return self.releases if self.since is None else None

    def holds(self, decision: Decision) -> bool:
        """True if this head learns the decision: not one that the app made by itself, whose reward is of another kind
        than what policies learn in apprentice mode (features/interactions/imitation.py)."""
        if decision.role == APPRENTICE:
            return False
        if self.other and decision.role == self.other and decision.release in self.releases:
            return False
        if self.since is None:
            return decision.release in self.releases
        return decision.at >= self.since and decision.release <= max(self.releases)

    def start(self, spool: str) -> Position:
        """Where learning begins in this spool. In another host's all later decisions are new to the head."""
        return self.place if self.spool == spool else START


def known(decision: Decision, release: LoadedRelease) -> bool:
    """True if the release can encode it: its catalogue may have forgotten an arm, and another release may have had
    arms or features that this one has not."""
    if decision.release in {release.number, *release.continues}:
        return bool(release.catalogue.row.keys() >= set(decision.listed))
    try:
        release.encoder.validate(
            decision.context, decision.arms, decision.arm_context, release.catalogue, decision.arm_features
        )
    except InvalidEvent:
        return False
    return True


def trained(since: int | None) -> dict[str, Any]:
    """The entry of a policy that was trained on a window which ended at `since`; {} where there is no such time."""
    return {} if since is None else {"since": since}


def moved(entry: Mapping[str, Any], spool: str, place: Position) -> dict[str, Any]:
    """The entry of the same head further on, at `place` in the log that `spool` names."""
    once = together(entry)
    return {**once, **dict(zip(_PLACE, (spool, *place), strict=True))} if once else {}


def together(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of a head that is released again: whether it learns apart is for its new release to say."""
    return {name: value for name, value in entry.items() if name != APART}


def apart(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The entries of a release with a candidate: either role learns from its own decisions."""
    return {role: {**entries.get(role, {}), APART: True} for role in (CHAMPION, CANDIDATE)}
