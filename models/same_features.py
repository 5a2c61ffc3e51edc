"""The champion can be judged only on features that it reads: a training on others is refused before it costs hours."""

from dataclasses import dataclass
from typing import Any

from croupier.features.build import encoder_at, meta_of
from croupier.features.encoding.earlier_columns import extends
from croupier.features.schema import CHAMPION
from croupier.features.spec import SpecError
from croupier.features.store import layout, released
from croupier.features.workspace import Workspace
from croupier.models.earlier import READ_NO_FEATURES


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
    number = released.current(w.store)
    return None if number is None else serving_at(w, number)


def serving_at(w: Workspace, number: int) -> Serving:
    """Returns what a release serves, by its number. Raises KeyError where there is none of that number."""
    manifest = released.manifest(w.store, number)
    return Serving(
        number=number, champion=manifest["policies"][CHAMPION], encoder=manifest["encoder"], meta=manifest["meta"]
    )


def refuse_others(w: Workspace, key: str) -> None:
    """Raises SpecError where features `key` were encoded otherwise than what the champion reads."""
    now = serving(w)
    try:
        encoder = meta_of(w.store, key).get("encoder")
    except KeyError:
        return  # no such features: the training says so
    if now is None or not now.reads_features or encoder in (None, now.encoder):
        return
    served = encoder_at(w, layout.release(now.number, layout.ENCODER))
    if extends(encoder_at(w, layout.features(key, layout.ENCODER)), served):
        return  # more categories alone: the champion finds its own columns among these
    raise SpecError(
        f"app.toml: found other features than the champion of release {now.number}, {now.champion}, was trained on, "
        f"expected the same: it cannot be judged on these. Take the change back, or {way_out(w)}"
    )


def way_out(w: Workspace) -> str:
    """What makes another encoder possible: a champion that reads no features."""
    for number in reversed(released.numbers(w.store)):
        found = serving_at(w, number)
        if not found.reads_features:
            return (
                f"serve a champion that reads none, `croupier rollout rollback {number}` ({found.champion}): the "
                "next training then begins anew with the new features"
            )
    return "publish a champion that reads none: no release of this app has one"
