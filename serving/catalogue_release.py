"""Catalogue releases: what its owner changed in catalogue.json goes live without a promotion.

    catalogue.json ≠ the current release's arms ─▶ the same policies, encoder and floor over the new arms,
    tried, numbered and logged like any release; the rollout goes on where it stands

An arm that is no longer in the file is kept as retired for KEPT_DAYS: decisions that showed it are still judged and
learnt from, and a request that lists it is served without it. `look` is what the `watch_rollout` DAG does each minute.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import tritonclient.grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from features import catalogue
from features.locks import alone
from features.schema import Arm
from features.storage import StoreError
from features.workspace import Workspace
from serving import deployment, publish, release, release_store
from serving.newcomers import merged, newcomers, retired
from serving.promotion import triton_address
from serving.release import LoadedRelease, Newcomers

log = logging.getLogger(__name__)
REFUSED = "arms/refused.json"


def look(w: Workspace, now: int) -> str:
    """What became of the catalogue at this look, for a log: "" where nothing had changed. Never raises for what is in
    the file: the release that serves goes on."""
    try:
        number = release_catalogue(w, now)
    except (ValueError, KeyError, OSError, RuntimeError, StoreError) as error:
        log.exception("the catalogue was not released")
        return f"not released: {type(error).__name__}: {error}"[:300]
    return "" if number is None else f"release {number}"


def release_catalogue(w: Workspace, now: int, *, by: str = "watch") -> int | None:
    """Release catalogue.json over the current release's policies. Returns the new number, None when nothing has changed
    or no release is there. Raises InvalidEvent naming the entry, ReleaseRefused, TritonUnavailable or Superseded."""
    if not (w.home / "catalogue.json").exists():
        return None
    with alone(w.home / ".catalogue.lock"):
        number = release_store.current(w.store)
        if number is None:
            return None
        manifest, old = release_store.manifest(w.store, number), release_store.arms(w.store, number)
        file, before = w.arms(), Newcomers(**manifest.get("newcomers", {}))
        arms, digest = merged(file, old, now), catalogue.digest(file)
        new = newcomers(w.store, w.spec.arms, before, old, arms, now=now)
        said = described(old, arms, before, new, now)
        if not said or _refused(w, number, digest) or not _reachable(triton_address(w)):
            return None
        return _released(w, _Change(number=number, file=digest, arms=arms, new=new, said=said, by=by))


def described(old: Sequence[Arm], arms: Sequence[Arm], before: Newcomers, new: Newcomers, now: int) -> str:
    """What changes, in words; "" where nothing does. Arms forgotten after KEPT_DAYS wait for another change."""
    was, now_ = {a.arm_id: a for a in old}, {a.arm_id: a for a in arms}
    both = [(was[arm], now_[arm]) for arm in was.keys() & now_.keys() if was[arm] != now_[arm]]
    ended = [b for a, b in both if retired(b, now) and not retired(a, now)]
    known = [arm for arm in before.since if arm in now_ and arm not in new.since]
    counts = {"added": len(now_.keys() - was.keys()), "retired": len(ended), "changed": len(both) - len(ended),
              "new no more": len(known)}  # fmt: skip
    said = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
    return f"catalogue: {said}" if said else ""


@dataclass(frozen=True, kw_only=True)
class _Change:
    """What is to follow release `number`, and in words."""

    number: int
    file: str  # digest of what its owner wrote
    arms: Sequence[Arm]
    new: Newcomers
    said: str
    by: str

    def meta(self, old: LoadedRelease) -> dict[str, Any]:
        return dict(old.manifest["meta"]) | {
            "kind": publish.CATALOGUE, "from_release": self.number, "continues": [*old.continues, self.number],
            "verdict": self.said, "by": self.by,
        }  # fmt: skip


def _released(w: Workspace, change: _Change) -> int:
    with deployment.scratch(w.home) as draft:
        old = deployment.fetched(w.store, w.home, change.number, draft)

        def build(folder: Path, number: int) -> object:
            return release.write_release(
                folder, number=number, champion=old.champion, candidate=old.candidate, encoder=old.encoder,
                arms=change.arms, floor=old.floor, meta=change.meta(old), golden=golden(old, change.arms),
                newcomers=change.new,
            )  # fmt: skip

        try:
            old.encoder.catalogue(change.arms)  # before a number is taken
            done = publish.publish(
                w.store, w.home, build, triton=triton_address(w), by=change.by, after=change.number,
                stages=w.spec.rollout.stages, shadow=w.spec.rollout.shadow,
            )  # fmt: skip
        except ValueError as error:  # ReleaseRefused is one
            refusal = {"of": [change.number, change.file], "error": str(error)}
            w.store.put(REFUSED, orjson.dumps(refusal))
            raise
    return done.number


def golden(old: LoadedRelease, arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """The requests of the release before that the new catalogue can answer, and one for the arms that came."""
    known, before = {arm.arm_id for arm in arms}, {arm.arm_id for arm in old.arms}
    kept = [{"context": g.context, "arms": g.arms, "arm_context": g.arm_context}
            for g in old.golden if g.role == "champion" and known >= set(g.arms)]  # fmt: skip
    fresh = sorted(arms, key=lambda arm: arm.arm_id in before)[:10]
    return [*kept, {"context": {}, "arms": [arm.arm_id for arm in fresh]}] if fresh else kept


def _reachable(triton: str | None) -> bool:
    """A server that does not answer says nothing of the catalogue: no number is spent on it."""
    if triton is None:
        return True
    with triton_grpc.InferenceServerClient(triton) as client:
        try:
            return bool(client.is_server_live(client_timeout=5.0))
        except InferenceServerException:
            return False


def _refused(w: Workspace, number: int, file: str) -> bool:
    """Was this very catalogue refused for this release before? Then it waits until either changes."""
    raw, version = w.store.read(REFUSED)
    return version is not None and orjson.loads(raw)["of"] == [number, file]
