"""Catalogue releases: what its owner changed in catalogue.json goes live without a promotion.

    catalogue.json ≠ the current release's arms ─▶ the same policies, encoder and floor over the new arms,
    tried, numbered and logged like any release; the rollout goes on where it stands

An arm that is no longer in the file is kept as retired for a while (features/known_arms.py): decisions that showed it
are still judged and learnt from, and a request that lists it is served without it. `look` is what the `watch_rollout`
DAG does each minute, and the supervisor of `croupier serve` oftener (follower.py).
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson
from tritonclient.utils import InferenceServerException

from croupier.features.encoding import catalogue
from croupier.features.known_arms import kept_days, merged, retired
from croupier.features.schema import CHAMPION, FROM_CATALOGUE, FROM_REQUEST, Arm
from croupier.features.store import layout
from croupier.features.store.locks import alone
from croupier.features.store.released import CATALOGUE
from croupier.features.store.storage import StoreError
from croupier.features.workspace import Workspace
from croupier.models.bayesian.informed import informed
from croupier.models.policy import Policy
from croupier.serving.catalogue import file as catalogue_file
from croupier.serving.catalogue.newcomers import newcomers
from croupier.serving.catalogue.present_arms import answerable, newcomers_of
from croupier.serving.operate import deployment, publish
from croupier.serving.operate.deployment import triton_address
from croupier.serving.release import bundle, bundle_store
from croupier.serving.release.bundle import LoadedRelease
from croupier.serving.release.continuation import SAME_ARMS
from croupier.serving.release.exploration.kept_baseline import kept_baseline
from croupier.serving.release.newcomer_share import Newcomers
from croupier.serving.release.safeguards import Safeguards
from croupier.serving.retrieval import retriever
from croupier.serving.triton.binary import TritonUnavailable
from croupier.serving.triton.endpoint_security import EndpointSecurity

log = logging.getLogger(__name__)
MOST_GOLDEN = 16  # requests of the release before that go along


def look(w: Workspace, now: int) -> str:
    """What became of the catalogue at this look, for a log: "" where nothing had changed. Never raises for what is in
    the file: the release that serves goes on."""
    try:
        number = release_catalogue(w, now)
    except (ValueError, KeyError, OSError, RuntimeError, StoreError) as error:
        log.warning("the catalogue was not released: %s", error)
        return f"not released: {type(error).__name__}: {error}"[:400]
    return "" if number is None else f"release {number}"


def release_catalogue(
    w: Workspace, now: int, *, by: str = "watch", again: bool = False, declared: bool = False
) -> int | None:
    """Release catalogue.json over the current release's policies. Returns the new number, None when nothing has changed
    or no release is there. Raises InvalidEvent naming the entry, ReleaseRefused, OldFile, TritonUnavailable or
    Superseded. `again`: also what was refused for this release before. `declared`: with the rules and limits
    that app.toml says now, else with those of the current release."""
    if not (w.home / layout.CATALOGUE).exists():
        return None
    with alone(w.home / layout.CATALOGUE_LOCK):
        number = bundle_store.current(w.store)
        if number is None:
            return None
        file = w.arms()
        digest = catalogue.digest(file)
        catalogue_file.check(w, digest)
        if w.spec.arms.source == FROM_CATALOGUE:
            catalogue.require_selectable(file, now)
        if not declared and _is_released(w, number, digest):
            catalogue_file.accept(w, digest, now)
            return None
        change = _change(w, number, file, now, by, declared=declared)
        if change.said:
            _raise_refused(w, change, again=again)
            _raise_unreachable(w, triton_address(w))
            number = _released(w, change)
        catalogue_file.accept(w, digest, now)
        return number if change.said else None


def _is_released(w: Workspace, number: int, digest: str) -> bool:
    """True if the current release has these very arms, none of them new: seen by its manifest, since to read the arms
    of a large one each minute takes longer than the rest of a look."""
    manifest = bundle_store.manifest(w.store, number)
    return bool(manifest["catalogue"] == digest and not newcomers_of(w.store, number).since)


@dataclass(frozen=True, kw_only=True)
class _Change:
    """What is to follow release `number`, and in words ("": nothing)."""

    number: int
    file: str  # digest of what its owner wrote
    arms: Sequence[Arm]
    new: Newcomers
    said: str
    by: str
    source: str
    safeguards: Safeguards

    def meta(self, old: LoadedRelease) -> dict[str, Any]:
        return dict(old.manifest["meta"]) | {
            "kind": CATALOGUE,
            "from_release": self.number,
            "from_digest": old.manifest["digest"],
            "continues": [*old.continues, self.number],
            "verdict": self.said,
            "by": self.by,
            SAME_ARMS: {a.arm_id: a.features for a in old.arms}.items()
            <= {a.arm_id: a.features for a in self.arms}.items(),
        }


def _change(w: Workspace, number: int, file: Sequence[Arm], now: int, by: str, *, declared: bool) -> _Change:
    old, before = bundle_store.arms(w.store, number), newcomers_of(w.store, number)
    arms = merged(file, old, now, days=kept_days(w.spec))
    new = newcomers(w.store, w.spec.arms, before, old, arms, now=now)
    held = Safeguards.of(bundle_store.manifest(w.store, number))
    safeguards = Safeguards.declared(w.spec) if declared else held
    ruled = "rules and limits of app.toml" if safeguards != held else ""
    return _Change(
        number=number,
        file=catalogue.digest(file),
        arms=arms,
        new=new,
        said=", ".join(filter(None, (described(old, arms, before, new, now), ruled))),
        by=by,
        source=w.spec.arms.source,
        safeguards=safeguards,
    )


def described(old: Sequence[Arm], arms: Sequence[Arm], before: Newcomers, new: Newcomers, now: int) -> str:
    """What changes, in words; "" where nothing does. Arms to be forgotten wait for another change."""
    was, now_ = {a.arm_id: a for a in old}, {a.arm_id: a for a in arms}
    both = [(was[arm], now_[arm]) for arm in was.keys() & now_.keys() if was[arm] != now_[arm]]
    ended = [b for a, b in both if retired(b, now) and not retired(a, now)]
    known = [arm for arm in before.since if arm in now_ and arm not in new.since]
    counts = {"added": len(now_.keys() - was.keys()), "retired": len(ended), "changed": len(both) - len(ended),
              "new no more": len(known)}  # fmt: skip
    said = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
    return f"catalogue: {said}" if said else ""


def _released(w: Workspace, change: _Change) -> int:
    with deployment.scratch(w.home) as draft:
        old = deployment.fetched(w.store, w.home, change.number, draft)

        baseline = kept_baseline(w.store, change.safeguards.beside, old.encoder)

        def build(folder: Path, number: int) -> object:
            return _written(folder, number, old, change, baseline)

        try:
            old.encoder.catalogue(change.arms)  # before a number is taken
            retriever.refuse(retriever.held(old.manifest), change.arms)
            done = publish.publish(
                w.store,
                w.home,
                build,
                triton=triton_address(w),
                by=change.by,
                after=change.number,
                stages=w.spec.rollout.stages,
                shadow=w.spec.rollout.shadow,
            )
        except ValueError as error:  # ReleaseRefused is one
            refusal = {"of": [change.number, change.file], "error": str(error)}
            w.store.put(layout.ARMS_REFUSED, orjson.dumps(refusal))
            raise
    return done.number


def _written(folder: Path, number: int, old: LoadedRelease, change: _Change, baseline: Policy | None) -> dict[str, Any]:
    known, fresh = old.encoder.catalogue(change.arms), list(change.new.since)
    candidate = None if old.candidate is None else informed(old.candidate, known, fresh)
    toward = None if old.toward is None else replace(old.toward, policy=informed(old.toward.policy, known, fresh))
    return bundle.write_release(
        folder,
        number=number,
        champion=informed(old.champion, known, fresh),
        candidate=candidate,
        encoder=old.encoder,
        arms=change.arms,
        floor=old.floor,
        meta=change.meta(old),
        golden=golden(old, change.arms, change.source),
        newcomers=change.new,
        source=change.source,
        safeguards=change.safeguards,
        toward=toward,
        retrieval=retriever.held(old.manifest),
        baseline=baseline and informed(baseline, known, fresh),
    )


def golden(old: LoadedRelease, arms: Sequence[Arm], source: str = FROM_CATALOGUE) -> list[dict[str, Any]]:
    """The requests of the release before that the new catalogue can answer, and one for the arms that came."""
    kept, before = [asdict(g) for g in old.golden if g.role == CHAMPION], {arm.arm_id for arm in old.arms}
    fresh = sorted(arms, key=lambda arm: arm.arm_id in before)[:10]
    one = [{"context": {}, "arms": [arm.arm_id for arm in fresh]}] if fresh and source != FROM_REQUEST else []
    return [*answerable(kept, arms)[:MOST_GOLDEN], *one]


def _raise_unreachable(w: Workspace, triton: str | None) -> None:
    """A server that does not answer says nothing of the catalogue: no number is spent on it."""
    if triton is None:
        return
    with EndpointSecurity.of(w.settings).client(triton) as client:
        try:
            live = bool(client.is_server_live(client_timeout=5.0))
        except InferenceServerException:
            live = False
    if not live:
        raise TritonUnavailable(f"{triton}: no Triton answers there; the catalogue goes live when it does")


def _raise_refused(w: Workspace, change: _Change, *, again: bool) -> None:
    """What was refused for this very release waits until either changes, and is told at each look."""
    raw, version = w.store.read(layout.ARMS_REFUSED)
    found = orjson.loads(raw) if version is not None and not again else {}
    if found.get("of") == [change.number, change.file]:
        raise ValueError(f"refused before, and waits for another catalogue.json: {found['error']}")
