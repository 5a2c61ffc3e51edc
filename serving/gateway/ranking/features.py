"""Features as Personalizer's callers send them, and what of them a decision takes.

| sent                          | is                                                                     |
|-------------------------------|------------------------------------------------------------------------|
| `contextFeatures`             | the context: [context.NAME] of app.toml                                |
| of an action, [arm_context.NAME] of app.toml | passed on, as a feature of this pair                    |
| of an action, in the catalogue | the catalogue's value counts; another one is refused, or ignored and counted |
| of an action that is in no catalogue, [arm.NAME] of app.toml | brought along, where [arms] source allows it |
| of either, declared nowhere   | refused by name, or ignored and counted                                |

Lists of objects become one; nested objects are flattened by dots; null and [] are no feature.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from croupier.features.encoding.as_sent import flatten, flattened, is_flat, number_in
from croupier.features.encoding.undeclared import refuse
from croupier.features.schema import FROM_BOTH, FROM_REQUEST, Arm, InvalidEvent
from croupier.serving.decide.arm_lists import ArmLists
from croupier.serving.release import arm_source
from croupier.serving.release.bundle import LoadedRelease

if TYPE_CHECKING:
    from croupier.serving.gateway.ranking.actions import Actions

MAX_NAMES = 1000  # of ignored features that are counted apart: names are the caller's
NOBODY = "(other names)"


def flat(parts: object, where: str) -> dict[str, Any]:
    """Raises InvalidEvent for what is no list of objects, is too deep, or gives one name two values."""
    if parts is None:
        return {}
    if not isinstance(parts, list):
        raise InvalidEvent(where, parts, "a list of objects of features")
    if len(parts) == 1 and isinstance(parts[0], dict) and is_flat(parts[0]):
        return dict(parts[0])
    found: dict[str, Any] = {}
    for i, part in enumerate(parts):
        if not isinstance(part, dict):
            raise InvalidEvent(f"{where}[{i}]", part, "an object of features")
        flatten(part, found, where)
    return found


@dataclass(frozen=True, kw_only=True)
class KnownNames:
    """What a release knows: its arms, where arms may come from, and the names of features that may be sent."""

    release: int
    arms: Mapping[str, Arm]
    context: frozenset[str]
    pairs: frozenset[str]
    own: frozenset[str]
    source: str
    lists: "ArmLists[Actions]" = field(default_factory=ArmLists, compare=False)  # what was read of actions lately

    @classmethod
    def of(cls, release: LoadedRelease) -> Self:
        """What may be sent is what its encoder was made for."""
        scopes = ("context", "arm_context", "arm")
        context, pairs, own = (frozenset(f.name for f in release.encoder.block(scope).features) for scope in scopes)
        return cls(
            release=release.number,
            arms={arm.arm_id: replace(arm, features=flattened(arm.features, arm.arm_id)) for arm in release.arms},
            context=context,
            pairs=pairs,
            own=own - {"arm_id"},
            source=arm_source.of(release.manifest),
        )

    def brings(self, arm: str) -> bool:
        """Whether a request that lists this arm has to bring its features along."""
        return self.source == FROM_REQUEST or (self.source == FROM_BOTH and arm not in self.arms)


@dataclass
class FeatureRule:
    """Takes what is known. `ignore`: what is not is left out and counted in `ignored`, by name; else it is refused,
    unless `passes()`, for then the app leaves it out and counts it in its log ([requests] of app.toml). `met` grows
    with each feature of an action that is not known, and taken or left out."""

    ignore: bool
    passes: Callable[[], bool] = refuse
    ignored: Counter[str] = field(default_factory=Counter)
    met: int = 0
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def context(self, found: dict[str, Any], known: KnownNames) -> dict[str, Any]:
        """The context of a request; where nothing is ignored, the encoder refuses names that are not declared."""
        return self._only(found, known.context, "contextFeatures") if self.ignore else found

    def pair(self, found: dict[str, Any], arm: Arm, known: KnownNames, where: str) -> dict[str, Any]:
        """The features of an action that belong to the pair of request and arm. Raises InvalidEvent."""
        if known.pairs.isdisjoint(found) and found.items() <= arm.features.items():
            return {}  # as most callers send them: the catalogue's own
        taken = {name: found[name] for name in found if name in known.pairs}
        for name, value in found.items():
            if name in taken or (name in arm.features and _same(arm.features[name], value)):
                continue
            if self.ignore:
                self._count(f"actions.{name}")
            elif self.passes():
                self.met += 1
                taken[name] = value
            else:
                raise InvalidEvent(f"{where}.{name[:80]}", value, _expected(name, arm, known))
        return taken

    def brought(self, found: dict[str, Any], known: KnownNames, where: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """(features of the pair, features of the arm) of an action that is in no catalogue. Raises InvalidEvent."""
        pair, own = ({n: v for n, v in found.items() if n in names} for names in (known.pairs, known.own))
        for name, value in found.items():
            if name in pair or name in own:
                continue
            if self.ignore:
                self._count(f"actions.{name}")
            elif self.passes():
                self.met += 1
                own[name] = value
            else:
                declared = ", ".join(sorted(known.own | known.pairs))[:200] or "none"
                expected = f"[arm] or [arm_context] of app.toml ({declared}); or --unknown-features ignore"
                raise InvalidEvent(f"{where}.{name[:80]}", value, expected)
        return pair, own

    def _only(self, found: dict[str, Any], names: frozenset[str], where: str) -> dict[str, Any]:
        for name in found.keys() - names:
            self._count(f"{where}.{name}")
        return {name: value for name, value in found.items() if name in names}

    def counted(self) -> Counter[str]:
        """What was left out so far, by name."""
        with self._turn:
            return self.ignored.copy()

    def _count(self, name: str) -> None:
        with self._turn:
            self.met += 1
            self._add(name)

    def _add(self, name: str) -> None:
        self.ignored[name[:120] if len(self.ignored) < MAX_NAMES or name[:120] in self.ignored else NOBODY] += 1


def _expected(name: str, arm: Arm, known: KnownNames) -> str:
    if name in arm.features:
        return f"{arm.features[name]!r:.80} as the catalogue has it for {arm.arm_id}; change it in catalogue.json"
    declared = ", ".join(sorted(known.pairs))[:200] or "none"
    return f"[arm_context] of app.toml ({declared}) or a feature of the arm; or --unknown-features ignore"


def _same(of_catalogue: Any, value: Any) -> bool:
    """Whether a caller says what the catalogue does: a text that writes the catalogue's number does."""
    if isinstance(value, str) and isinstance(of_catalogue, int | float):
        return bool(number_in(value) == of_catalogue)
    return bool(of_catalogue == value)
