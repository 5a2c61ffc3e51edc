"""From a verdict to a release: the champion that serves, and beside it the candidate that the gate promoted.

Keyed by the verdict: publishing the same verdict again finds its release and changes nothing, or ends what was begun.
Where nothing was promoted, [policies] toward_candidate releases the champion with an undecided candidate beside it,
toward which it explores.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from croupier.features.build import encoder_at, meta_of
from croupier.features.clock import now_us
from croupier.features.encoding import catalogue
from croupier.features.encoding.encoder import Encoder
from croupier.features.log.admission import Admission
from croupier.features.schema import ABORTED, CANDIDATE, CHAMPION, NO_STAGE, Arm
from croupier.features.store import layout
from croupier.features.store.released import EXPLORATION
from croupier.features.workspace import Workspace, get_folder
from croupier.models import earlier, policy
from croupier.models.bayesian.informed import informed
from croupier.models.health.learning.predicted import loss_in
from croupier.models.policy import Policy
from croupier.serving.catalogue.present_arms import Present, answerable, present
from croupier.serving.fleet import half_life
from croupier.serving.learning import carry_over, learning_scope
from croupier.serving.learning.carry_over import Carried
from croupier.serving.learning.live_heads import learns
from croupier.serving.operate import publish, renewal
from croupier.serving.operate.deployment import triton_address
from croupier.serving.release import bundle, bundle_store, rollout_store
from croupier.serving.release.exploration import choice
from croupier.serving.release.exploration.kept_baseline import kept_baseline
from croupier.serving.release.exploration.toward import ENTRY as TOWARD
from croupier.serving.release.exploration.toward import Toward
from croupier.serving.release.newcomer_share import Newcomers
from croupier.serving.release.safeguards import Safeguards
from croupier.serving.triton.declaration import ADMITS


def publish_verdict(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Release what the gate promoted; before the first release, the champion alone. Returns what serves now; where
    nothing was published, "why" says why, and "waits" is there if a promoted candidate waits for a running rollout."""
    w = Workspace.open(verdict["app"])
    key, promoted, kind = verdict["features"], verdict["promoted"], verdict.get("kind", "")
    made, current = _made_from(w, key, promoted), bundle_store.current(w.store)
    if made is not None and made > (current or 0):  # whoever published it died before it served
        return _outcome(w, publish.serve(w.store, w.home, made, **_how(w, kind)), promoted)
    stale = bool(verdict.get("changed")) and renewal.is_stale(w, key)
    if why := _why_not(w, made, current, promoted, stale=stale):
        asked = {} if promoted or current is None else _explored(w, verdict, current)
        return {"app": w.settings.app, "release": made or current, "published": False, **why} | asked
    return _outcome(w, _released(w, verdict), promoted)


def _why_not(w: Workspace, made: int | None, current: int | None, promoted: str, *, stale: bool) -> dict[str, str]:
    """Why nothing is published; {} if nothing stands in the way. `stale`: what is rolled out now may be replaced."""
    if made is not None:
        return {"why": f"release {made} was made of this verdict before"}
    if current is not None and not promoted:
        return {"why": "nothing was promoted, so the champion goes on serving"}
    if current is not None and not stale and (waits := _waits(w)):
        return {"why": f"{promoted} was promoted and waits: {waits}", "waits": waits}
    return {}


@dataclass(frozen=True, kw_only=True)
class _Today:
    """What a release that is made of some features now is made of, whoever stands beside its champion."""

    champion: Carried
    serving: Policy
    window: Mapping[str, Any]
    encoder: Encoder
    now: Present
    golden: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, w: Workspace, key: str, scratch: Path) -> Self:
        """The champion as it has learnt until now, read by the encoder of features `key`; today's arms."""
        features = get_folder(w.store, layout.features(key), scratch / "features")
        champion = carry_over.champion_now(w.store, w.home, scratch / "champion")
        champion = champion or Carried(policy=policy.make("uniform"))
        encoder = Encoder.load(features / layout.ENCODER)
        now = present(w, now_us(), encoder, catalogue.read(features / layout.CATALOGUE))
        return cls(
            champion=champion,
            serving=_reading(w, champion.policy, encoder),
            window=orjson.loads((features / layout.META).read_bytes()),
            encoder=encoder,
            now=now,
            golden=answerable(orjson.loads((features / layout.GOLDEN).read_bytes()), now.arms),
        )

    def knowing(self, found: Policy) -> Policy:
        """A policy with what it can know of new arms."""
        return informed(found, self.encoder.catalogue(self.now.arms), list(self.now.new.since))

    def released(self, w: Workspace, **more: Any) -> publish.Published:
        """Publishes them as a release."""
        return release_policies(
            w,
            champion=self.knowing(self.serving),
            encoder=self.encoder,
            arms=self.now.arms,
            golden=self.golden,
            newcomers=self.now.new,
            source=self.now.source,
            **more,
        )


def _released(w: Workspace, verdict: Mapping[str, Any]) -> publish.Published:
    """The release of this verdict: the champion as it has learnt until now, the promoted candidate, today's arms."""
    key, promoted = verdict["features"], verdict["promoted"]
    with tempfile.TemporaryDirectory() as scratch:
        today = _Today.of(w, key, Path(scratch))
        candidate = None
        if promoted:
            candidate = policy.load(get_folder(w.store, verdict["candidates"][promoted], Path(scratch) / "candidate"))
        return today.released(
            w,
            candidate=candidate and today.knowing(candidate),
            meta={
                "features": key,
                "declared": today.window["declared"],
                "verdict": verdict["summary"],
                "report": verdict["report"],
                "kind": verdict.get("kind", ""),
                renewal.CHANGED: verdict.get("changed", 0),
                "training_loss": loss_in(Path(scratch) / "candidate"),
                **_learning(today.champion, candidate, today.window.get("end_us")),
            },
        )


def _explored(w: Workspace, verdict: Mapping[str, Any], current: int) -> dict[str, Any]:
    """Where nothing was promoted: a release of the same champion, which explores toward the candidate that evidence is
    wanted of, or no longer toward one. {} where the current release does so already."""
    state, body = rollout_store.read_state(w.store), verdict.get("evaluation")
    if body is None or (state is not None and state.stage not in {NO_STAGE, ABORTED}):
        return {}
    share, key = w.spec.policies.toward_candidate, verdict["features"]
    name, manifest = choice.wanted(body) if share else "", bundle_store.manifest(w.store, current)
    end = int(meta_of(w.store, key).get("end_us", 0))
    if choice.explores_already(manifest.get(TOWARD), name=name, share=share, features=key, end=end):
        return {}
    try:
        done = _exploring(w, verdict, name, manifest)
    except ValueError as error:  # ReleaseRefused is one: the release that serves goes on
        return {"why": f"nothing was promoted; a release that explores toward {name} was refused: {error}"}
    return _outcome(w, done, "") | {TOWARD: name}


def _exploring(w: Workspace, verdict: Mapping[str, Any], name: str, manifest: Mapping[str, Any]) -> publish.Published:
    key, old = verdict["features"], manifest["meta"]
    with tempfile.TemporaryDirectory() as scratch:
        today, toward = _Today.of(w, key, Path(scratch)), None
        if name:
            asked = policy.load(get_folder(w.store, verdict["candidates"][name], Path(scratch) / TOWARD))
            share, until = w.spec.policies.toward_candidate, int(today.window.get("end_us", 0))
            toward = Toward(policy=today.knowing(asked), share=share, features=key, until=until)
        kept = {entry: old[entry] for entry in ("features", renewal.CHANGED) if entry in old}  # of the champion
        return today.released(
            w,
            candidate=None,
            toward=toward,
            meta=kept
            | {
                "declared": today.window["declared"],
                "verdict": f"explores toward {name}: {verdict['summary']}" if name else "explores uniformly again",
                "report": verdict["report"],
                "kind": EXPLORATION,
                "from_release": manifest["number"],
                **_learning(today.champion, None, None),
            },
        )


def _reading(w: Workspace, champion: Policy, encoder: Encoder) -> Policy:
    """The champion as it reads what the new release's encoder writes: its own columns, where the encoder has grown."""
    number = bundle_store.current(w.store)
    if number is None or champion.name in earlier.READ_NO_FEATURES:
        return champion
    return earlier.reading(champion, encoder, encoder_at(w, layout.release(number, layout.ENCODER)))


def _learning(champion: Carried, candidate: Policy | None, end: int | None) -> dict[str, Any]:
    """The manifest's entry of what either head has learnt; the candidate all rows decided before `end` (UTC µs)."""
    entries = {CHAMPION: dict(champion.learning)}
    if learns(candidate):
        entries[CANDIDATE] = learning_scope.trained(end)
    entries = {role: entry for role, entry in entries.items() if entry}
    if candidate is not None and (learns(champion.policy) or learns(candidate)):
        entries = learning_scope.apart(entries)
    return {learning_scope.META: entries} if entries else {}


def said(outcome: Mapping[str, Any]) -> str:
    """What `publish_verdict` returned, in a sentence."""
    app, number = outcome["app"], outcome["release"]
    if not outcome["published"]:
        return f"{app}: nothing was published: {outcome['why']}; release {number} is current"
    exposed = f", with {outcome['candidate']} as its candidate" if outcome["candidate"] else ", the champion alone"
    if TOWARD in outcome:
        exposed += f", exploring toward {outcome[TOWARD]}" if outcome[TOWARD] else ", exploring uniformly again"
    return f"{app}: release {number} was published{exposed}"


def _outcome(w: Workspace, done: publish.Published, promoted: str) -> dict[str, Any]:
    return {"app": w.settings.app, "release": done.number, "published": True, "candidate": promoted}


def bootstrap(w: Workspace) -> publish.Published:
    """Release 1 of a new app: uniform over its catalogue, so that a log with true propensities can begin."""
    arms = w.arms()
    encoder = Encoder.empty(w.spec, arms)
    return release_policies(
        w, champion=policy.make("uniform"), candidate=None, encoder=encoder, arms=arms, meta={"verdict": "bootstrap"}
    )


def release_policies(
    w: Workspace,
    *,
    champion: Policy,
    candidate: Policy | None,
    encoder: Encoder,
    arms: Sequence[Arm],
    meta: Mapping[str, Any],
    golden: Sequence[Mapping[str, Any]] = (),
    newcomers: Newcomers | None = None,
    source: str | None = None,
    toward: Toward | None = None,
) -> publish.Published:
    """Writes a release of these policies and publishes it. `source` None: as app.toml says. Raises ValueError where
    hosts share what they learn, and a policy forgets."""
    if w.spec.policies.fast_loop:
        half_life.refuse(w.settings, (champion, candidate))

    held = Safeguards.declared(w.spec)
    baseline = kept_baseline(w.store, held.beside, encoder)

    def build(folder: Path, number: int) -> object:
        return bundle.write_release(
            folder,
            number=number,
            champion=champion,
            candidate=candidate,
            encoder=encoder,
            arms=arms,
            floor=w.spec.policies.floor,
            meta=dict(meta) | {ADMITS: Admission.of(w.spec).to_dict()},
            golden=golden,
            newcomers=newcomers,
            source=source or w.spec.arms.source,
            safeguards=held,
            toward=toward,
            retrieval=w.spec.retrieval,
            baseline=baseline and informed(baseline, encoder.catalogue(arms), list((newcomers or Newcomers()).since)),
        )

    return publish.publish(w.store, w.home, build, **_how(w, str(meta.get("kind", ""))))


def _how(w: Workspace, kind: str) -> dict[str, Any]:
    """Where and how it is exposed."""
    plan = publish.RolloutPlan.of(w.spec, kind)
    return {"triton": triton_address(w), "stages": plan.stages, "shadow": plan.shadow}


def _waits(w: Workspace) -> str:
    """Why nothing is published now; "" if nothing stands in the way.

    A rollout under way is not published over, since its evidence would be lost. What was promoted needs no queue: its
    family is judged again at the next training, and its newest model is published then."""
    state = rollout_store.read_state(w.store)
    if state is None or state.stage in {NO_STAGE, ABORTED} or w.spec.rollout.supersede:
        return ""
    if state.watched:  # the next release replaces the watch: its own predecessor is what will be kept back
        return ""
    return f"release {state.release} is at {state.stage}; the family is judged again at the next training"


def _made_from(w: Workspace, features: str, promoted: str) -> int | None:
    """The release that this verdict has led to, if one has; a refused one never served, and is no answer. The same
    features may be judged again with other candidates: that is another verdict."""
    rows = [r for r in bundle_store.listed(w.store) if r["status"] != bundle_store.REFUSED]
    made = [
        r["number"]
        for r in rows
        if r["meta"].get("features") == features and r["policies"].get(CANDIDATE, "") == promoted
    ]
    return max(made, default=None)
