"""From one release to the next without training: its candidate becomes champion, or an earlier champion returns.

Both publish a new release, so the log never shows one number for two things, and every check is made again.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from features.storage import Store
from models.informed import informed
from serving import carry_over, deployment, publish, release, release_store
from serving.present_arms import Present, answerable, as_now
from serving.release import LoadedRelease


def promote(store: Store, home: Path, *, triton: str | None, by: str = "rollout") -> publish.Published:
    """The candidate of the current release becomes the champion of the next, which has no candidate."""
    return _republish(store, home, _current_or_raise(store), "candidate", triton=triton, by=by)


def roll_back(store: Store, home: Path, number: int, *, triton: str | None, by: str = "operator") -> publish.Published:
    """Serve the champion of an earlier release again, as a new release: the log never shows one number twice."""
    return _republish(store, home, number, "champion", triton=triton, by=by)


def _republish(store: Store, home: Path, number: int, role: str, *, triton: str | None, by: str) -> publish.Published:
    with deployment.scratch(home) as draft:
        folder = draft / str(number)
        release_store.download(store, number, folder)
        old = release.load(folder)

        def build(target: Path, new: int) -> object:
            return _again(old, role, target, new, by, home=home, now=as_now(store, old))

        return publish.publish(store, home, build, triton=triton, by=by)


def _again(
    old: LoadedRelease, role: str, folder: Path, number: int, by: str, *, home: Path, now: Present | None = None
) -> dict[str, Any]:
    now = now or Present(arms=old.arms, new=old.newcomers)
    champion = carry_over.newest(home, old, role) if role == "candidate" else old.champion  # rolled back: as released
    if champion is None:
        raise ValueError(f"release {old.number} has no candidate to promote")
    golden = answerable([asdict(g) for g in old.golden if g.role == role], now.arms)
    meta = old.manifest["meta"] | {"from_release": old.number, "from_role": role, "by": by,
                                   "kind": "succession", "continues": []}  # fmt: skip
    champion = informed(champion, old.encoder.catalogue(now.arms), list(now.new.since))
    return release.write_release(
        folder, number=number, champion=champion, candidate=None, encoder=old.encoder, arms=now.arms,
        floor=old.floor, meta=meta, golden=golden, newcomers=now.new,
    )  # fmt: skip


def _current_or_raise(store: Store) -> int:
    number = release_store.current(store)
    if number is None:
        raise KeyError(f"no release in {store.url} yet: publish one first")
    return number
