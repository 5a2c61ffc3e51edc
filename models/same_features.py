"""The champion can be judged only on features that it reads: a training on others is refused before it costs hours."""

from dataclasses import dataclass
from typing import Any

import orjson

from croupier.features.spec import SpecError
from croupier.features.workspace import Workspace

READ_NO_FEATURES = frozenset({"uniform", "fixed_arm", "beta_bernoulli"})


@dataclass(frozen=True, kw_only=True)
class Serving:
    """The current release: its number, its champion's family, the encoder it reads, and what its manifest keeps."""

    number: int
    champion: str
    encoder: str
    meta: dict[str, Any]

    @property
    def reads_features(self) -> bool:
        """True if the champion looks at features at all."""
        return self.champion not in READ_NO_FEATURES


def serving(w: Workspace) -> Serving | None:
    """None before the first release."""
    try:
        number = int(orjson.loads(w.store.get("releases/current"))["number"])
    except KeyError:
        return None
    return released(w, number)


def released(w: Workspace, number: int) -> Serving:
    """Returns what a release serves, by its number. Raises KeyError where there is none of that number."""
    manifest = orjson.loads(w.store.get(f"releases/{number:06d}/manifest.json"))
    return Serving(
        number=number, champion=manifest["policies"]["champion"], encoder=manifest["encoder"], meta=manifest["meta"]
    )


def refuse_others(w: Workspace, key: str) -> None:
    """Raises SpecError where features `key` were encoded otherwise than what the champion reads."""
    now = serving(w)
    try:
        encoder = orjson.loads(w.store.get(f"features/{key}/meta.json")).get("encoder")
    except KeyError:
        return  # no such features: the training says so
    if now is None or not now.reads_features or encoder in (None, now.encoder):
        return
    raise SpecError(
        f"app.toml: found other features than the champion of release {now.number}, {now.champion}, was trained on, "
        f"expected the same: it cannot be judged on these. Take the change back, or {way_out(w)}"
    )


def way_out(w: Workspace) -> str:
    """What makes another encoder possible: a champion that reads no features."""
    manifests = [key for key in w.store.list("releases/") if key.endswith("/manifest.json")]
    for number in sorted((int(key.split("/")[1]) for key in manifests), reverse=True):
        found = released(w, number)
        if not found.reads_features:
            return (
                f"serve a champion that reads none, `croupier rollout rollback {number}` ({found.champion}): the "
                "next training then begins anew with the new features"
            )
    return "publish a champion that reads none: no release of this app has one"
