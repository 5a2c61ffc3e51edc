"""The arms that a release has which is made now: those of today's catalogue, never those of when a log was encoded.

So an arm that was retired meanwhile does not come back with a promotion, and one that came meanwhile is not lost.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from croupier.features.encoding import catalogue
from croupier.features.encoding.encoder import Encoder
from croupier.features.known_arms import kept_days, merged
from croupier.features.schema import FROM_CATALOGUE, Arm
from croupier.features.spec_values import SafetySpec
from croupier.features.store.storage import Store
from croupier.features.workspace import Workspace
from croupier.models.policy import Policy
from croupier.serving.catalogue import file as catalogue_file
from croupier.serving.catalogue.newcomers import newcomers
from croupier.serving.release import arm_source, bundle_store
from croupier.serving.release.bundle import LoadedRelease
from croupier.serving.release.exploration.kept_baseline import kept_baseline
from croupier.serving.release.newcomer_share import Newcomers
from croupier.serving.release.safeguards import Safeguards
from croupier.serving.retrieval import retriever

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Present:
    """The arms of the next release, which of them are new, where the arms of requests come from, the rules and limits
    that hold for them, and the earlier champion to which decisions are held, if any is."""

    arms: Sequence[Arm]
    new: Newcomers = field(default_factory=Newcomers)
    source: str = FROM_CATALOGUE
    safeguards: Safeguards = field(default_factory=Safeguards)
    baseline: Policy | None = None


def present(w: Workspace, now: int, encoder: Encoder, encoded: Sequence[Arm]) -> Present:
    """Returns the arms that count now, of catalogue.json and the current release. Where the file cannot be read, is
    another host's old one, or has what the encoder does not know, or an arm without the embedding that [retrieval]
    needs, the current release's arms stand; before the first release those that were `encoded`."""
    number = bundle_store.current(w.store)
    old = encoded if number is None else bundle_store.arms(w.store, number)
    try:
        file = w.arms()
        catalogue_file.check(w, catalogue.digest(file))
        arms = file if number is None else merged(file, old, now, days=kept_days(w.spec))
        encoder.catalogue(arms)
        retriever.refuse(w.spec.retrieval, arms)
    except (ValueError, OSError) as error:
        log.warning("the catalogue of the release before stands: %s", error)
        arms = list(old)
    if number is None:
        return Present(arms=arms, source=w.spec.arms.source)
    before = newcomers_of(w.store, number)
    new = newcomers(w.store, w.spec.arms, before, old, arms, now=now)
    return Present(arms=arms, new=new, source=w.spec.arms.source)


def as_now(store: Store, old: LoadedRelease) -> Present:
    """Returns the arms of the current release, for the policies of an earlier one. Where the old encoder does not know
    their features: its own arms, those that are retired or paused by now marked so."""
    number = bundle_store.current(store)
    if number is None or number == old.number:
        return as_was(old)
    arms, manifest = bundle_store.arms(store, number), bundle_store.manifest(store, number)
    source, (safeguards, baseline) = arm_source.of(manifest), _held(store, Safeguards.of(manifest), old.encoder)
    try:
        old.encoder.catalogue(arms)
    except ValueError as error:
        log.warning("release %s has its own arms again: %s", old.number, error)
        now = {arm.arm_id: arm for arm in arms}
        timed = [_timed(arm, now.get(arm.arm_id, arm)) for arm in old.arms]
        return Present(arms=timed, source=source, safeguards=safeguards, baseline=baseline)
    new = newcomers_of(store, number)
    return Present(arms=arms, new=new, source=source, safeguards=safeguards, baseline=baseline)


def as_was(old: LoadedRelease) -> Present:
    """Returns the arms, rules and limits of a release, for one that follows it with the same."""
    return Present(
        arms=old.arms,
        new=old.newcomers,
        source=arm_source.of(old.manifest),
        safeguards=Safeguards.of(old.manifest),
        baseline=old.baseline,
    )


def _held(store: Store, safeguards: Safeguards, encoder: Encoder) -> tuple[Safeguards, Policy | None]:
    """The safeguards, and the baseline that they name; without the promise where that cannot read this encoder: nothing
    may hold up a return to an earlier release."""
    try:
        return safeguards, kept_baseline(store, safeguards.beside, encoder)
    except ValueError as error:
        log.warning("nothing is promised beside a baseline from now on: %s", error)
        return replace(safeguards, safety=SafetySpec()), None


def _timed(arm: Arm, now: Arm) -> Arm:
    return replace(arm, valid_from=now.valid_from, valid_to=now.valid_to, paused=now.paused)


def newcomers_of(store: Store, number: int) -> Newcomers:
    """Returns the new arms of a release in the store."""
    return Newcomers(**bundle_store.manifest(store, number).get("newcomers", {}))


def answerable(golden: Sequence[dict[str, Any]], arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Returns the golden requests whose arms are all there, less those that they bring along: these are not."""
    known = {arm.arm_id for arm in arms}
    return [request for request in golden if all((a in known) is listed for a, listed in _each(request))]


def _each(request: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """The arms of a request, and whether each is one of the catalogue."""
    given = request.get("arm_features") or [None] * len(request["arms"])
    return [(arm, own is None) for arm, own in zip(request["arms"], given, strict=True)]
