"""What the fast loop of this host learnt goes along when a release's policy is released again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from croupier.features.log.spool import Spool
from croupier.features.schema import CANDIDATE, CHAMPION
from croupier.features.store import layout
from croupier.features.store.storage import Store
from croupier.models.policy import Policy
from croupier.serving.learning import learning_scope
from croupier.serving.learning.learning_steps import Position
from croupier.serving.learning.live_heads import learns
from croupier.serving.release import bundle, bundle_store
from croupier.serving.release.bundle import LoadedRelease


@dataclass(frozen=True, kw_only=True)
class Carried:
    """A policy, and the entry of the next manifest that says what its head has learnt (learning_scope.py)."""

    policy: Policy
    learning: Mapping[str, Any] = field(default_factory=dict)


def newest(home: Path, old: LoadedRelease, role: str) -> Carried:
    """The policy of `old` in this role with the newest head of this host; as released where it learnt nothing here.
    Raises ValueError where the release has none in this role."""
    policy = old.candidate if role == CANDIDATE else old.champion
    if policy is None:
        raise ValueError(f"release {old.number} has no {role} to promote")
    entry = learning_scope.together(old.manifest["meta"].get(learning_scope.META, {}).get(role, {}))
    heads = home / layout.HEADS
    path, digest = layout.head(heads, old.number, role), old.manifest["digest"]
    if not path.exists() and old.continues:  # no reward has reached this catalogue release
        path = layout.head(heads, old.continues[-1], role)
        digest = old.manifest["meta"].get("from_digest", "")
    if not learns(policy) or not path.exists():
        return Carried(policy=policy, learning=entry)
    from croupier.models.bayesian.posterior import Posterior
    from croupier.serving.learning.head_file import HeadFile

    state = HeadFile(path, d=len(policy.head.moments.b), digest=digest).read()
    if state is None:
        return Carried(policy=cast("Policy", policy), learning=entry)
    head = Posterior(prior=policy.head.prior, moments=state.moments, step=state.step)
    place = Position(state.cursor, state.closing)
    return Carried(
        policy=cast("Policy", policy.with_head(head)), learning=learning_scope.moved(entry, _spool_id(home), place)
    )


def champion_now(store: Store, home: Path, scratch: Path) -> Carried | None:
    """The champion of the current release as it has learnt until now; None before the first release."""
    number = bundle_store.current(store)
    if number is None:
        return None
    bundle_store.download(store, number, scratch / str(number), app=home.name)
    return newest(home, bundle.load(scratch / str(number)), CHAMPION)


def _spool_id(home: Path) -> str:
    """Returns the id of this host's log; "" where it has none."""
    if not (home / layout.SPOOL_LOG).exists():
        return ""
    spool = Spool(home / layout.SPOOL_LOG)
    try:
        return spool.id
    finally:
        spool.close()
