"""One look at the rollout: what the `watch_rollout` DAG does each minute. Safe to repeat, and to run twice at once.

Evidence is judged for the very state it was gathered under: when another hand changed that state meanwhile, this look
changes nothing. Each look renews the mirror's age, so selectors notice when nobody watches any more.
"""

import io
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from croupier.features.clock import elapsed, now, now_us, speed
from croupier.features.log import ship
from croupier.features.schema import NO_STAGE, RETURNED, SHADOW
from croupier.features.spec import AppSpec, RolloutSpec
from croupier.features.store import layout
from croupier.features.store.storage import Conflict, Store
from croupier.features.utc import SECOND
from croupier.features.workspace import Workspace
from croupier.serving.constraints import controller
from croupier.serving.decide import price_reader
from croupier.serving.evidence import breakers, gather, hold_out_looks, shadow
from croupier.serving.operate import catalogue_release, deployment, publish, renewal, succession
from croupier.serving.operate.deployment import triton_address
from croupier.serving.release import bundle_store, hold_out, rollout_state, rollout_store, stage_rule
from croupier.serving.release.rollout_state import RolloutState
from croupier.serving.release.stage_rule import RolloutEvidence

log = logging.getLogger(__name__)
LEASE_SECONDS = 300  # real ones, to publish a promoted candidate


def watch(app: str, *, approved: bool = False) -> dict[str, Any]:
    """Ship this host's log, look, and when everybody has the candidate make it the champion. Plain JSON back."""
    w = Workspace.known(app)
    spool = w.spool()
    try:
        ship.ship(spool, w.store, host=w.settings.host)
    finally:
        spool.close()
    prices = controller.look(w, now=now())
    state = tick(w.store, w.home, w.spec, now_us(), approved=approved)
    if state is None:
        return {"app": app, "stage": "no release yet"}
    next_release = finish(w.store, w.home, triton=triton_address(w), spec=w.spec.rollout)
    promoted, returned = (None, next_release) if state.kept else (next_release, None)
    arms = catalogue_release.look(w, now_us())
    seen = {"app": app, "release": state.release, "rollout": state.releases[0], "stage": state.stage,
            "share": state.share, "held": state.held, "reason": state.history[-1]["reason"], "promoted": promoted,
            "catalogue": arms}  # fmt: skip
    return seen | ({"returned": returned} if state.kept else {}) | ({"prices": prices} if prices else {})


def tick(store: Store, home: Path, spec: AppSpec, now: int, *, approved: bool = False) -> RolloutState | None:
    """Looks once, at `now` (UTC µs): gathers, judges, swaps, mirrors. Returns the state in force, None before a
    release."""
    state = _begun(store, spec, now)
    if state is not None and state.running and state.stage != NO_STAGE and hold_out_looks.due(store, state, spec, now):
        spec = renewal.hurried(store, spec, state)
        _judged(store, home, state, look(store, home, spec, state, now), spec, now=now, approved=approved)
    rollout_store.note_watched(store, now)
    price_reader.mirror(store, home)
    return rollout_store.sync(store, home)


def look(store: Store, home: Path, spec: AppSpec, state: RolloutState, now: int) -> RolloutEvidence:
    """A breaker that is open on any host is harm at once, but no harm of a promoted release where its hold-out's was;
    data that cannot be read is a problem, never a reason to go on."""
    try:
        opened = breakers.opened(store, home, state)
        if opened and not state.kept:
            return RolloutEvidence(harms=(opened,))
        if opened:
            return RolloutEvidence(problems=(f"what was kept back fails, its units see the champion: {opened}",))
        with deployment.scratch(home) as folder:
            loaded = deployment.fetched(store, home, state.release, folder)
            found = gather.gather(store, spec, state, loaded, now=now)
            if state.stage == SHADOW and found.decisions:
                _keep_shadow(store, state, shadow.shadow_log(store, spec.reward, state, loaded, now=now))
            if state.kept:
                hold_out_looks.keep(store, state, found, now)
            return found
    except (ValueError, KeyError) as error:
        log.exception("no evidence at this look")
        return RolloutEvidence(problems=(f"no evidence: {type(error).__name__}: {error}"[:300],))


def _keep_shadow(store: Store, state: RolloutState, scored: pl.DataFrame) -> None:
    """What the candidate would have done, logged beside what the champion did: rewritten, longer, at each look."""
    sink = io.BytesIO()
    scored.write_parquet(sink)
    store.put(layout.rollout_shadow(state.release), sink.getvalue())


def finish(
    store: Store,
    home: Path,
    *,
    triton: str | None,
    now: int | None = None,
    by: str = "rollout",
    spec: RolloutSpec | None = None,
) -> int | None:
    """Releases, at 100 %, the candidate as champion, with the hold-out that `spec` declares (None: without one). Where
    a watch has shown the promoted release to be worse: release its predecessor again. Returns the new number, None when
    there is nothing to do.

    One host at a time, by a lease in the store; a promoter that died is followed when its lease has run out.
    """
    state = rollout_store.read_state(store)
    if state is None or bundle_store.current(store) != state.release:
        return None
    returned = state.stage == RETURNED
    if state.share < 1.0 and not returned:
        return None
    lease = layout.promotion_lease(state.release)
    if not _leased(store, lease, now_us() if now is None else now):
        return None
    try:
        if returned:
            return succession.bring_back(store, home, triton=triton, by=by).number
        return succession.promote(store, home, triton=triton, by=by, spec=spec).number
    except Exception:
        store.delete(lease)
        raise


def _leased(store: Store, key: str, now: int) -> bool:
    """True if we got the lease, new or run out, at `now` (UTC µs)."""
    raw, version = store.read(key)
    if version is not None and elapsed(int(raw), now=now) < LEASE_SECONDS * SECOND * speed():
        return False
    try:
        store.swap(key, str(now).encode(), version)
    except Conflict:
        return False
    return True


def _judged(
    store: Store, home: Path, state: RolloutState, found: RolloutEvidence, spec: AppSpec, *, now: int, approved: bool
) -> None:
    """Swap in what follows from the evidence, if `state` is still the present one."""

    def step(there: RolloutState) -> RolloutState:
        if there != state:
            return there
        if there.kept:
            return hold_out.next_state(there, found, spec.rollout, now=now)
        return stage_rule.next_stage(there, found, spec.rollout, now=now, approved=approved)

    with suppress(rollout_state.RolloutRefused):  # another hand was faster
        new = rollout_store.change(store, step, home=home)
        if new.history != state.history:
            log.warning("release %s: %s, %s: %s", new.release, new.stage, f"{new.share:.0%}", new.history[-1]["reason"])


def _begun(store: Store, spec: AppSpec, now: int) -> RolloutState | None:
    """The present state; where a publisher died between pointing at its release and beginning its rollout, begun."""
    state, current = rollout_store.read_state(store), bundle_store.current(store)
    if current is None or (state is not None and state.release >= current):
        return state
    return publish.begin(store, current, publish.plan_of(store, current, spec), now=now)
