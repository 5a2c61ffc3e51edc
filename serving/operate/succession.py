"""From one release to the next without training: its candidate becomes champion, or an earlier champion returns.

Both publish a new release, so the log never shows one number for two things, and every check is made again.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from croupier.features.schema import CANDIDATE, CHAMPION
from croupier.features.spec import RolloutSpec
from croupier.features.store.released import SUCCESSION
from croupier.features.store.storage import Store
from croupier.models.bayesian.informed import informed
from croupier.models.policy import make
from croupier.serving.catalogue.present_arms import Present, answerable, as_now, as_was
from croupier.serving.learning import carry_over, learning_scope
from croupier.serving.learning.carry_over import Carried
from croupier.serving.operate import deployment, publish
from croupier.serving.release import bundle, bundle_store, hold_out
from croupier.serving.release.bundle import LoadedRelease
from croupier.serving.retrieval import retriever


@dataclass(frozen=True, kw_only=True)
class Heir:
    """What the next release is made of; `meta` is added to that of the release it comes from."""

    champion: Carried
    kept: Carried | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    now: Present | None = None  # the arms; those of the release it comes from where None


def promote(
    store: Store, home: Path, *, triton: str | None, by: str = "rollout", spec: RolloutSpec | None = None
) -> publish.Published:
    """The candidate of the current release becomes the champion of the next. In the candidate's place comes what is
    kept back from it, as `spec` declares; without `spec`, nothing is."""

    def heir(old: LoadedRelease) -> Heir:
        champion = carry_over.newest(home, old, CANDIDATE)
        if spec is None or not spec.holdout:
            return Heir(champion=champion)
        predecessor = carry_over.newest(home, old, CHAMPION)
        kept = predecessor if spec.holdout_policy == hold_out.PREDECESSOR else Carried(policy=make("uniform"))
        return Heir(champion=champion, kept=kept, meta=hold_out.meta_of(spec, of=old.number))

    return _republish(store, home, _current_or_raise(store), CANDIDATE, heir, triton=triton, by=by)


def bring_back(store: Store, home: Path, *, triton: str | None, by: str) -> publish.Published:
    """The predecessor of the current, watched release becomes champion again, as it has learnt meanwhile."""
    number = _current_or_raise(store)
    kept, role = bundle_store.manifest(store, number)["meta"][hold_out.META], CANDIDATE
    if (
        kept["policy"] != hold_out.PREDECESSOR
    ):  # uniform was kept back: the predecessor is in the release it was promoted from
        number, role = int(kept["of"]), CHAMPION
    return _republish(
        store, home, number, role, lambda old: Heir(champion=carry_over.newest(home, old, role)), triton=triton, by=by
    )


def roll_back(store: Store, home: Path, number: int, *, triton: str | None, by: str = "operator") -> publish.Published:
    """Serve the champion of an earlier release again, as a new release: the log never shows one number twice. It comes
    back as it was released."""
    return _republish(
        store, home, number, CHAMPION, lambda old: Heir(champion=Carried(policy=old.champion)), triton=triton, by=by
    )


def _republish(
    store: Store,
    home: Path,
    number: int,
    role: str,
    heir: Callable[[LoadedRelease], Heir],
    *,
    triton: str | None,
    by: str,
) -> publish.Published:
    """The next release, made by `heir` of release `number`, whose policy in `role` it mainly is."""
    with deployment.scratch(home) as draft:
        folder = draft / str(number)
        bundle_store.download(store, number, folder, app=home.name)
        old = bundle.load(folder)
        made = heir(old)

        def build(target: Path, new: int) -> object:
            return again(old, replace(made, now=as_now(store, old)), target, new, role=role, by=by)

        return publish.publish(store, home, build, triton=triton, by=by)


def again(old: LoadedRelease, made: Heir, folder: Path, number: int, *, role: str, by: str) -> dict[str, Any]:
    """Writes release `number`, made of the `role` of the old one: its encoder, its golden requests, today's arms."""
    now = made.now or as_was(old)
    golden = answerable([asdict(g) for g in old.golden if g.role == role], now.arms)
    known, fresh = old.encoder.catalogue(now.arms), list(now.new.since)
    own = {hold_out.META, learning_scope.META}
    meta = {name: value for name, value in old.manifest["meta"].items() if name not in own}
    meta |= {
        "from_release": old.number,
        "from_role": role,
        "by": by,
        "kind": SUCCESSION,
        "continues": [],
        **made.meta,
    }
    sides = {CHAMPION: made.champion} | ({} if made.kept is None else {CANDIDATE: made.kept})
    if learning := {name: dict(side.learning) for name, side in sides.items() if side.learning}:
        meta[learning_scope.META] = learning
    kept = None if made.kept is None else informed(made.kept.policy, known, fresh)
    return bundle.write_release(
        folder,
        number=number,
        champion=informed(made.champion.policy, known, fresh),
        candidate=kept,
        encoder=old.encoder,
        arms=now.arms,
        floor=old.floor,
        meta=meta,
        golden=golden,
        newcomers=now.new,
        source=now.source,
        safeguards=now.safeguards,
        retrieval=retriever.held(old.manifest),
        baseline=now.baseline and informed(now.baseline, known, fresh),
    )


def _current_or_raise(store: Store) -> int:
    number = bundle_store.current(store)
    if number is None:
        raise KeyError(f"no release in {store.url} yet: publish one first")
    return number
