"""Publish a release: number it, keep it, try it, serve it. Each step is whole or did not happen.

A bad release is refused and named, and the old one goes on serving.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from features.clock import now_us
from features.storage import Store
from serving import deployment, hold_out, release_store, rollout, rollout_state

Build = Callable[[Path, int], object]


@dataclass(frozen=True, kw_only=True)
class Published:
    """`served` is False where no Triton was there to load it: it will at its next start."""

    number: int
    digest: str
    served: bool
    seconds: float


def publish(
    store: Store, home: Path, build: Build, *, triton: str | None, stages: tuple[float, ...] = (0.05, 0.2, 0.5, 1.0),
    shadow: bool = False, by: str = "publish",
) -> Published:  # fmt: skip
    """Build the next release with `build(folder, number)`, and bring it into service at its first stage.

    `triton` is host:port of gRPC (None: install only). Raises ReleaseRefused when the release is not what its
    manifest says or does not answer as it was computed offline; the old one then goes on, and the refusal is kept.
    """
    began = time.monotonic()
    number = release_store.claim(store)
    with deployment.scratch(home) as draft:
        folder = draft / str(number)
        build(folder, number)
        release_store.upload(store, folder)
    done = serve(store, home, number, triton=triton, stages=stages, shadow=shadow, by=by)
    return replace(done, seconds=time.monotonic() - began)


def serve(
    store: Store, home: Path, number: int, *, triton: str | None, stages: tuple[float, ...] = (0.05, 0.2, 0.5, 1.0),
    shadow: bool = False, by: str = "publish",
) -> Published:  # fmt: skip
    """Bring a whole release of the store into service: the second half of `publish`, also for whoever finds one whose
    publisher died. Safe to repeat."""
    began = time.monotonic()
    try:
        manifest = deployment.deploy(store, home, number, triton=triton)
    except Exception as error:
        release_store.refuse(store, number, error)
        raise
    release_store.point(store, number, manifest["digest"])
    rollout.begin(store, first_state(store, number, stages, shadow, now=now_us(), by=by))
    rollout.sync(store, home)
    return Published(
        number=number, digest=manifest["digest"], served=triton is not None, seconds=time.monotonic() - began
    )


def first_state(
    store: Store, number: int, stages: tuple[float, ...], shadow: bool, *, now: int, by: str = "publish"
) -> rollout_state.RolloutState:
    """How the rollout of release `number` begins: at its first stage, in shadow, or with nobody to expose; where its
    manifest declares a hold-out, it is watched."""
    if declared := release_store.meta(store, number).get(hold_out.META):
        return hold_out.start(number, declared, now=now, by=by)
    exposed = "candidate" in release_store.policies(store, number)
    return rollout_state.start(number, now=now, stages=stages, shadow=shadow, has_candidate=exposed, by=by)
