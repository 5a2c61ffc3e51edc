"""Publish a release: number it, keep it, try it, serve it. Each step is whole or did not happen.

A bad release is refused and named, and the old one goes on serving.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from croupier.features.clock import now_us
from croupier.features.spec import AppSpec
from croupier.features.store.storage import Store
from croupier.serving.operate import deployment
from croupier.serving.release import bundle_store, hold_out, rollout_state, rollout_store
from croupier.serving.release.rollout_state import RolloutState

CATALOGUE, REFRESH = "catalogue", "refresh"  # `kind` of a release: over other arms; the champion's family retrained
Build = Callable[[Path, int], object]


class Superseded(RuntimeError):
    """Another release came between: nothing was changed."""


@dataclass(frozen=True)
class Plan:
    """How a rollout is to go: its shares, and whether it begins in shadow."""

    stages: tuple[float, ...]
    shadow: bool = False

    @classmethod
    def of(cls, spec: AppSpec, kind: str) -> Self:
        """A refresh of the champion's own family climbs by fewer stages, without shadow."""
        if kind == REFRESH:
            return cls(spec.refresh.stages)
        return cls(spec.rollout.stages, spec.rollout.shadow)


@dataclass(frozen=True, kw_only=True)
class Published:
    """`served` is False where no Triton was there to load it: it will at its next start."""

    number: int
    digest: str
    served: bool
    seconds: float


def publish(
    store: Store,
    home: Path,
    build: Build,
    *,
    triton: str | None,
    stages: tuple[float, ...] = (0.05, 0.2, 0.5, 1.0),
    shadow: bool = False,
    by: str = "publish",
    after: int | None = None,
) -> Published:
    """Build the next release with `build(folder, number)`, and bring it into service at its first stage.

    `triton` is host:port of gRPC (None: install only). Raises ReleaseRefused when the release is not what its
    manifest says or does not answer as it was computed offline; the old one then goes on, and the refusal is kept.
    `after`: only if that release is still the current one, else Superseded.
    """
    began = time.monotonic()
    number = bundle_store.claim(store)
    with deployment.scratch(home) as draft:
        folder = draft / str(number)
        build(folder, number)
        bundle_store.upload(store, folder, app=home.name)
    done = serve(store, home, number, triton=triton, stages=stages, shadow=shadow, by=by, after=after)
    return replace(done, seconds=time.monotonic() - began)


def serve(
    store: Store,
    home: Path,
    number: int,
    *,
    triton: str | None,
    stages: tuple[float, ...] = (0.05, 0.2, 0.5, 1.0),
    shadow: bool = False,
    by: str = "publish",
    after: int | None = None,
) -> Published:
    """Bring a whole release of the store into service: the second half of `publish`, also for whoever finds one whose
    publisher died. Safe to repeat."""
    began = time.monotonic()
    try:
        _refuse_superseded(store, number, after)
        manifest = deployment.deploy(store, home, number, triton=triton)
        if after not in (None, bundle_store.current(store)):
            deployment.withdraw(home, number, triton=triton)
            _refuse_superseded(store, number, after)
    except Exception as error:
        bundle_store.refuse(store, number, error)
        raise
    bundle_store.point(store, number, manifest["digest"])
    begin(store, number, Plan(stages, shadow), now=now_us(), by=by)
    rollout_store.sync(store, home)
    return Published(
        number=number, digest=manifest["digest"], served=triton is not None, seconds=time.monotonic() - began
    )


def begin(store: Store, number: int, plan: Plan, *, now: int, by: str = "publish") -> RolloutState:
    """The rollout of release `number` begins as planned: at its first stage, in shadow, or with nobody to expose; where
    its manifest declares a hold-out, it is watched. That of a catalogue release goes on where the one before it stands
    at that moment."""
    manifest = bundle_store.manifest(store, number)
    meta = manifest["meta"]

    def state(old: RolloutState | None) -> RolloutState:
        if old is not None and meta.get("kind") == CATALOGUE and meta["from_release"] == old.release:
            return rollout_state.carried(old, number, str(meta["verdict"]), now=now, by=by)
        if hold_out.META in meta:
            return hold_out.start(number, meta[hold_out.META], now=now, by=by)
        return rollout_state.start(
            number,
            now=now,
            stages=plan.stages,
            shadow=plan.shadow,
            has_candidate="candidate" in manifest["policies"],
            by=by,
        )

    return rollout_store.succeed(store, number, state)


def plan_of(store: Store, number: int, spec: AppSpec) -> Plan:
    """What the app declares for a release of this kind."""
    kind = bundle_store.manifest(store, number)["meta"].get("kind")
    return Plan.of(spec, str(kind))


def _refuse_superseded(store: Store, number: int, after: int | None) -> None:
    there = bundle_store.current(store)
    if after is not None and there != after:
        raise Superseded(f"release {number} follows release {after}, and release {there} came between: look again")
