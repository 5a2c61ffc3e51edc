"""What is known of how well is learnt: of the last training's rows, by release, and of each feature.

features/<key>/learning.json    {"calibrations", "conditions", "at"}: made once a training, at the first look after it
"""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from croupier.features.batch import F64, Interactions, concatenate
from croupier.features.build import Features, encoder_at, meta_of
from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions import window
from croupier.features.schema import CANDIDATE, CHAMPION, Arm, InvalidEvent
from croupier.features.store import layout, released
from croupier.features.store.storage import AlreadyExists
from croupier.features.utc import to_us
from croupier.features.workspace import Interval, Workspace, get_folder
from croupier.models.earlier import ReadsEarlier, reading
from croupier.models.health.history import History
from croupier.models.health.learning.calibration import RewardCalibration, calibration
from croupier.models.health.learning.condition import HeadCondition, condition, phi_names
from croupier.models.health.learning.of_arms import of_arms
from croupier.models.health.learning.predicted import expected
from croupier.models.health.learning.telling import FeatureTelling, telling
from croupier.models.health.linear.failure import ROWS, latest
from croupier.models.health.linear.kept import tail
from croupier.models.health.symptom import Symptom
from croupier.models.health.watches import learnt
from croupier.models.ope.reward_model import cross_fit
from croupier.models.policy import Policy, load
from croupier.models.retraining import champion_of

REWARD_MODEL = "the gate's reward model"
RELEASES = 8  # the latest, whose training loss is shown


@dataclass(frozen=True, kw_only=True)
class ReleasedLoss:
    """The training loss of what release `release` brought: of `policy`, on its latest `rows`; `of_mean` is that of
    their mean reward."""

    release: int
    policy: str
    rows: int
    loss: float
    of_mean: float


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """`champion` is how its predictions of later rewards came true, `reward_model` how those of the model that the
    gate leans on did, each by a fold that had not seen the row; None where too little is known. `conditions` are of the
    champion's and the candidates' heads, `losses` of the latest releases, `features` what each says of the reward."""

    champion: RewardCalibration | None = None
    reward_model: RewardCalibration | None = None
    conditions: tuple[HeadCondition, ...] = ()
    losses: tuple[ReleasedLoss, ...] = ()
    features: tuple[FeatureTelling, ...] = ()
    at: int = 0

    def symptoms(self) -> list[Symptom]:
        """What of it is to be watched."""
        return learnt.symptoms(self.champion, self.conditions, at=self.at)

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON."""
        return {
            "champion": self.champion and self.champion.to_dict(),
            "reward_model": self.reward_model and self.reward_model.to_dict(),
            "conditions": [each.to_dict() for each in self.conditions],
            "losses": [dict(vars(each)) for each in self.losses],
            "features": [each.to_dict() for each in self.features],
        }


def learnt_so_far(w: Workspace, history: History) -> Learnt:
    """Returns what is known now; of the last training what was found at the first look after it."""
    kept = _of_last_training(w)
    known = {name: RewardCalibration.from_dict(kept[name]) for name in ("champion", "reward_model") if kept.get(name)}
    return Learnt(
        **known,
        conditions=tuple(HeadCondition.from_dict(each) for each in kept.get("conditions", ())),
        losses=tuple(_losses(w)),
        features=telling(history, _trained_on(w), more=of_arms(history, _arms(w), w.spec.arm)),
        at=int(kept.get("at", 0)),
    )


def _arms(w: Workspace) -> list[Arm]:
    """The catalogue; none on a host that has none, or one that cannot be read, which `croupier app check` says."""
    try:
        return w.arms()
    except (OSError, InvalidEvent):
        return []


def _of_last_training(w: Workspace) -> dict[str, Any]:
    """{} before a training has come to a verdict, or where its rows were deleted before anybody asked."""
    key = window.last_features(w.store)
    if not key:
        return {}
    raw, version = w.store.read(layout.features(key, layout.LEARNING))
    if version is None:
        try:
            raw = orjson.dumps(_examined(w, key))
        except (KeyError, ValueError):
            return {}
        with suppress(AlreadyExists):  # whoever was quicker looked at the same rows
            w.store.create(layout.features(key, layout.LEARNING), raw)
    return dict(orjson.loads(raw))


def _examined(w: Workspace, key: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        features = Features.fetch(w.store, key, Path(scratch) / "features")
        log = latest(concatenate(tail(features.chunks(), ROWS)))
        policies = dict(_policies(w, key, features.encoder, Path(scratch)))
        champion = policies.get(CHAMPION)
        until = champion_of(w).trained_until
        later = log[log.at >= until] if until else log[:0]  # else nobody knows which rows it has learnt
        q = cross_fit(log, seed=w.spec.policies.seed)[np.arange(len(log)), log.chosen].astype(np.float64)
        found = _calibrated(champion, later), calibration(REWARD_MODEL, log, q)
        return {
            "champion": found[0] and found[0].to_dict(),
            "reward_model": found[1] and found[1].to_dict(),
            "conditions": [each.to_dict() for each in _conditions(w, features.encoder, policies)],
            "at": int(log.at.max()),
        }


def _policies(w: Workspace, key: str, encoder: Encoder, scratch: Path) -> Iterator[tuple[str, Policy]]:
    """Yields the champion as it reads these features, and the candidates that were trained on them."""
    number = released.current(w.store)
    if number is not None:
        champion = load(get_folder(w.store, layout.release(number, CHAMPION), scratch / CHAMPION))
        with suppress(ValueError):  # these features have not grown out of those that it reads
            yield CHAMPION, reading(champion, encoder, encoder_at(w, layout.release(number, layout.ENCODER)))
    for name, prefix in orjson.loads(w.store.get(layout.verdict(key)))["candidates"].items():
        with suppress(KeyError, ValueError):  # deleted by retention
            yield f"{CANDIDATE} {name}", load(get_folder(w.store, prefix, scratch / name))


def _calibrated(policy: Policy | None, log: Interactions) -> RewardCalibration | None:
    """Returns how the policy's predictions of rows that it has not learnt came true."""
    if policy is None or not len(log):
        return None
    found: F64 | None
    if isinstance(policy, ReadsEarlier):
        found = expected(policy.policy, policy.columns.interactions(log))
    else:
        found = expected(policy, log)
    return None if found is None else calibration(f"the champion, {policy.name}", log, found)


def _conditions(w: Workspace, encoder: Encoder, policies: dict[str, Policy]) -> Iterator[HeadCondition]:
    for who, policy in policies.items():
        inner, read = policy, encoder
        if isinstance(policy, ReadsEarlier):
            number = released.current(w.store)
            assert number is not None
            inner, read = policy.policy, encoder_at(w, layout.release(number, layout.ENCODER))
        names = phi_names(inner, read.context_names, read.arm_names, read.pair_names)
        label = f"the {CHAMPION}, {policy.name}" if who == CHAMPION else f"the {who}"
        if (found := condition(label, inner, names)) is not None:
            yield found


def _losses(w: Workspace) -> Iterator[ReleasedLoss]:
    """Yields those of the latest releases that brought a policy of known loss, the newest first."""
    for number in released.numbers(w.store)[: -RELEASES - 1 : -1]:
        manifest = released.manifest(w.store, number)
        found = manifest["meta"].get("training_loss")
        if found:
            yield ReleasedLoss(release=number, policy=manifest["policies"].get(CANDIDATE, ""), **found)


def _trained_on(w: Workspace) -> tuple[int, int] | None:
    """From and to when the rows are that the champion was trained on, UTC µs; None where that is not known."""
    number = released.current(w.store)
    key = released.manifest(w.store, number)["meta"].get("features") if number is not None else None
    if not key:
        return None
    try:
        meta = meta_of(w.store, key)
    except KeyError:  # deleted by retention
        return None
    interval = Interval.parse(meta["start"], meta["end"])
    return to_us(interval.start), to_us(interval.end)
