"""Sites that share no rows: what one tells of its own, and the head of all of them, judged and released as any other.

Every site has the same release, in its store or as a copied folder. Its sums are over that release's φ; the head that
they make together is a candidate on a log whose rows it has not learnt, and the gate says whether it serves.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import orjson

from croupier.features import build
from croupier.features.batch import Interactions
from croupier.features.build import Features
from croupier.features.encoded.kept import digest
from croupier.features.encoding import dataset, inline
from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions.parts import log_parts
from croupier.features.interactions.versions import newest
from croupier.features.known_arms import known_arms
from croupier.features.store import layout
from croupier.features.utc import from_us, to_us
from croupier.features.workspace import Interval, Workspace, put_folder
from croupier.models import earlier, training
from croupier.models.federated import summed
from croupier.models.federated.noise import UnitLimits
from croupier.models.federated.pooled import pooled
from croupier.models.federated.profile import SiteProfile, additive
from croupier.models.federated.site_moments import SiteMoments
from croupier.models.policy import Policy
from croupier.serving.learning.live_heads import learns
from croupier.serving.operate import deployment
from croupier.serving.release import bundle, bundle_store, signature

if TYPE_CHECKING:
    from croupier.models.bayesian.base import Bayesian


@dataclass(frozen=True, kw_only=True)
class AskedPrivacy:
    """(ε, δ) of `times` files together, and what a unit may add to each."""

    epsilon: float
    delta: float
    limits: UnitLimits
    times: int = 1


@dataclass(frozen=True, kw_only=True)
class ReleasedHead:
    """The policy of a release whose head sites add to, its encoder, and what sums over it are told by."""

    policy: "Bayesian"
    encoder: Encoder
    profile: SiteProfile

    @classmethod
    def of(cls, w: Workspace, release: str) -> Self:
        """Reads the head of a release by its number, or in a folder; of the current one unless given. Raises ValueError
        where its policies have no such head, or app.toml declares other features than it was made with."""
        with tempfile.TemporaryDirectory() as scratch:
            found = _release(w, release, Path(scratch))
        declared = build.declared(w.spec)
        expected = found.manifest["meta"].get("declared", declared)
        if declared != expected:
            raise ValueError(
                f"app.toml: found features of digest {declared}, expected {expected}, with which release "
                f"{found.number} was made; declare the features that it has"
            )
        policy = additive(cast("Policy | None", found.champion if learns(found.champion) else found.candidate))
        profile = SiteProfile.of(
            policy,
            release=found.manifest["digest"],
            encoder=found.encoder.digest,
            features=declared,
            reward=_rewards(w),
        )
        return cls(policy=policy, encoder=found.encoder, profile=profile)


def _release(w: Workspace, release: str, scratch: Path) -> bundle.LoadedRelease:
    if release and not release.isdigit():
        signature.check(Path(release), app=w.settings.app, keys=signature.Keys.of(w.settings))
        return bundle.load(Path(release))
    number = int(release) if release else bundle_store.current(w.store)
    if number is None:
        raise ValueError(
            f"release: found none of app {w.settings.app}, expected one with a head that sites can add to; publish "
            "one, or name the folder of another site's"
        )
    return deployment.fetched(w.store, w.home, number, scratch)


def _rewards(w: Workspace) -> str:
    """A digest of what app.toml says of rewards."""
    return digest([orjson.dumps(w.spec.reward.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS).decode()])


def moments_of(
    w: Workspace,
    site: str,
    interval: Interval,
    *,
    release: str = "",
    asked: AskedPrivacy | None = None,
    rng: np.random.Generator | None = None,
) -> SiteMoments:
    """The sums of this site's joined rows of the interval, with noise where privacy is asked for. Raises ValueError
    where there are no rows."""
    head, privacy = ReleasedHead.of(w, release), None
    log = _rows(w, interval, head.encoder)
    if asked is None:
        moments = summed.exact(head.policy, log)
    else:
        moments, privacy = summed.private(
            head.policy,
            log,
            asked.limits,
            epsilon=asked.epsilon,
            delta=asked.delta,
            times=asked.times,
            rng=rng or np.random.default_rng(),
        )
    return SiteMoments(
        site=site,
        profile=head.profile,
        since=to_us(interval.start),
        until=to_us(interval.end),
        moments=moments,
        privacy=privacy,
    )


def _rows(w: Workspace, interval: Interval, encoder: Encoder) -> Iterator[Interactions]:
    arms = known_arms(w)
    known, rules, seen = encoder.catalogue(arms), inline.ruled_out(w.spec, arms), 0
    hours = newest(w.store, start=interval.start, end=interval.end)
    with log_parts.learnt(w.store, w.spec, hours.values()) as log:
        for part in log.parts:
            seen += len(part)
            yield from dataset.encode_chunks(part, encoder, known, rules=rules)
    if not seen:
        raise ValueError(
            f"interactions: found none from {interval.start} to {interval.end}, expected some; are their hours joined?"
        )


def judged(w: Workspace, sites: Sequence[SiteMoments], key: str, *, release: str = "") -> dict[str, Any]:
    """The verdict of the gate on the head of these sites, on the later rows of features `key`, an interval by hand.
    Raises ValueError where a site has learnt rows that would judge."""
    head = ReleasedHead.of(w, release)
    with tempfile.TemporaryDirectory() as scratch:
        features = Features.fetch(w.store, key, Path(scratch) / "features")
        _refuse_learnt(features, sites)
        found = earlier.reading(
            cast("Policy", pooled(head.policy, head.profile, sites)), features.encoder, head.encoder
        )
        folder = Path(scratch) / "pooled"
        folder.mkdir()
        found.save(folder)
        prefix = layout.candidate(key, f"{found.name}-of-sites")
        put_folder(w.store, prefix, folder)
        job = {"app": w.settings.app, "features": key, "policy": found.name, "candidate": prefix}
    return training.judge([job])[0]


def _refuse_learnt(features: Features, sites: Sequence[SiteMoments]) -> None:
    if features.end is not None:
        raise ValueError(
            f"features {features.meta['features']}: found those of a rolling window, expected an interval by hand, "
            "whose later rows judge: `croupier turn --last …`, or build_features"
        )
    late = [site for site in sites if site.until > features.split_at]
    if late:
        raise ValueError(
            f"site {late[0].site}: found sums of rows until {from_us(late[0].until)}, expected until "
            f"{from_us(features.split_at)} at most, since the rows from then on judge; write them with an earlier --to"
        )
