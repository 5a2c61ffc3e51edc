"""What the fast loop of this host learnt goes along when a release's policy is released again."""

from pathlib import Path
from typing import cast

from models.policy import Policy
from serving.live_heads import learns, path_of
from serving.release import LoadedRelease

HEADS = "posterior"  # as in triton/wire.py


def newest(home: Path, old: LoadedRelease, role: str) -> Policy | None:
    """The policy of `old` in this role with the newest head of this host; as released where it learnt nothing here."""
    policy = old.candidate if role == "candidate" else old.champion
    path, digest = path_of(home / HEADS, old.number, role), old.manifest["digest"]
    if not path.exists() and old.continues:  # no reward has reached this catalogue release
        path, digest = path_of(home / HEADS, old.continues[-1], role), old.manifest["meta"].get("from_digest", "")
    if not learns(policy) or not path.exists():
        return policy
    from models.posterior import Posterior
    from serving.head_file import HeadFile

    state = HeadFile(path, d=len(policy.head.moments.b), digest=digest).read()
    if state is None:
        return cast("Policy", policy)
    return cast("Policy", policy.with_head(Posterior(prior=policy.head.prior, moments=state.moments, step=state.step)))
