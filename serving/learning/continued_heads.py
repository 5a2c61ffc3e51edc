"""Where a head begins whose release continues another: where the head of that one stands on this host.

A catalogue release has the policies of the release before, so its fold over the log is that one's fold, and goes on.
The fold from the release itself gives the same, but it is long, and the oldest of the log may be gone. It is made
nevertheless where the head before is not its beginning to the bit: an arm has other features now, or decisions of the
new release were learnt from before this host took it up. Then, too, nothing of what the log still holds is lost.
"""

from pathlib import Path
from typing import Any

from croupier.features.log.spool import Spool
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.serving.learning.head_file import HeadFile, State
from croupier.serving.learning.learning_scope import Scope, known
from croupier.serving.learning.learning_steps import Position, Step, steps
from croupier.serving.release.bundle import LoadedRelease
from croupier.serving.release.continuation import SAME_ARMS


def begin(folder: Path, release: LoadedRelease, role: str, spool: Spool, *, d: int) -> State | None:
    """The state that the fold of this head may go on from; None: from the release, over the whole log."""
    meta: dict[str, Any] = release.manifest["meta"]
    if not release.continues or "from_digest" not in meta:
        return None
    path = layout.head(folder, release.continues[-1], role)
    if not path.exists():
        return None
    state = HeadFile(path, d=d, digest=meta["from_digest"]).read()
    exact = state is not None and meta.get(SAME_ARMS) and not _own(spool, release, state)
    return state if exact or _pruned(spool) else None


def missed(release: LoadedRelease, scope: Scope, spool: Spool, spec: RewardSpec, state: State) -> list[Step]:
    """Steps of the release's own decisions up to where `state` stands: the head before did not take them."""
    if not _own(spool, release, state):
        return []
    own: list[Step] = []
    for reached, chunk in steps(spool, [scope], spec, after=scope.start(spool.id)):
        mine = (s for s in chunk if s.decision.release == release.number and known(s.decision, release))
        own += [s for s in mine if _at(s) <= (state.cursor, state.closing)]
        if reached >= Position(state.cursor, state.closing):
            break
    return own


def _at(step: Step) -> Position:
    return Position(step.cursor, step.closing)


def _own(spool: Spool, release: LoadedRelease, state: State) -> bool:
    """True if decisions of the release itself were on record where `state` stands."""
    mark = b'"release":%d,' % release.number
    seen = """coalesce(max((SELECT seen FROM rewards WHERE id <= ? ORDER BY id DESC LIMIT 1),
                           coalesce((SELECT decisions FROM closings WHERE id = ?), 0)), 0)"""
    query = f"SELECT EXISTS (SELECT 1 FROM decisions WHERE id <= {seen} AND instr(body, ?))"
    with spool.reading() as db:
        return bool(db.execute(query, [state.cursor, state.closing, mark]).fetchone()[0])


def _pruned(spool: Spool) -> bool:
    with spool.reading() as db:
        gone = db.execute("SELECT sum(value) FROM facts WHERE name IN ('pruned_decisions', 'pruned_rewards')")
        return bool(gone.fetchone()[0])
