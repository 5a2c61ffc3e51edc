"""Arms that a request brings along: {"id": …, "features": {…}} among the ids of those in the catalogue."""

from collections.abc import Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any

from croupier.features.schema import FROM_CATALOGUE, FROM_REQUEST, InvalidEvent

MAX_ID_CHARACTERS = 256
SHAPE = 'an arm id, or {"id", "features"}'
AskedArm = str | Mapping[str, Any]
Features = dict[str, Any] | None
_ID, _FEATURES = itemgetter("id"), itemgetter("features")


def apart(arms: Sequence[Any]) -> tuple[list[str], tuple[Features, ...]]:
    """Ids, and what each arm's features are, None for an id alone. Raises InvalidEvent naming the entry."""
    if plain := _plain(arms):
        return plain
    names, given = list[str](), list[Features]()
    for i, arm in enumerate(arms):
        if isinstance(arm, dict):
            names.append(_id(i, arm))
            given.append(_features(i, arm))
        elif isinstance(arm, str) and arm:
            names.append(arm)
            given.append(None)
        else:
            raise InvalidEvent("arms", arm, f"{SHAPE}; ids are non-empty strings")
    return names, tuple(given)


def _plain(arms: Sequence[Any]) -> tuple[list[str], tuple[Features, ...]] | None:
    """Returns what `apart` does, at the cost of a few looks, where all of them are inline arms and right; else None."""
    try:
        names, given = list(map(_ID, arms)), tuple(map(_FEATURES, arms))
        right = (
            sum(map(len, arms)) == 2 * len(arms)  # each has both, or one of the two was not found
            and all(names)
            and "".join(names).isprintable()  # each is a text, or join raises
            and max(map(len, names)) <= MAX_ID_CHARACTERS
            and True not in map(dict.__contains__, given, repeat("arm_id"))  # each is an object, or it raises
        )
    except (KeyError, TypeError):
        return None
    return (names, given) if right else None


def _id(i: int, arm: dict[str, Any]) -> str:
    if odd := sorted(arm.keys() - {"id", "features"}):
        raise InvalidEvent(f"arms[{i}].{odd[0][:80]}", arm[odd[0]], SHAPE)
    name = arm.get("id")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_ID_CHARACTERS or not name.isprintable():
        raise InvalidEvent(f"arms[{i}].id", name, f"1 to {MAX_ID_CHARACTERS} printable characters")
    return name


def _features(i: int, arm: dict[str, Any]) -> dict[str, Any]:
    found = arm.get("features")
    if not isinstance(found, dict):
        raise InvalidEvent(f"arms[{i}].features", found, "a JSON object of declared features, [arm.NAME] of app.toml")
    if "arm_id" in found:
        raise InvalidEvent(f"arms[{i}].features.arm_id", found["arm_id"], "no such feature: the arm's `id` is it")
    return found


def ids(arms: Sequence[AskedArm]) -> Sequence[Any]:
    """The ids of arms as a caller lists them; what is no arm stays as it is, for the server to refuse."""
    if {str}.issuperset(map(type, arms)):
        return arms
    return [arm.get("id") if isinstance(arm, Mapping) else arm for arm in arms]


def mixed(arms: Sequence[str], given: Sequence[Mapping[str, Any] | None]) -> list[AskedArm]:
    """The list as a caller writes it, of ids and their features."""
    if not given:
        return list(arms)
    return [arm if own is None else {"id": arm, "features": own} for arm, own in zip(arms, given, strict=True)]


def check_source(source: str, arms: Sequence[str], given: Sequence[Mapping[str, Any] | None]) -> None:
    """Raises InvalidEvent for an arm that comes from where none of this app does."""
    if source == FROM_CATALOGUE and given:
        i = next(i for i, own in enumerate(given) if own is not None)
        expected = "the id alone of an arm of the catalogue: app.toml has [arms] source = 'catalogue'"
        raise InvalidEvent(f"arms[{i}]", {"id": arms[i], "features": given[i]}, expected)
    if source == FROM_REQUEST and (not given or None in given):
        i = next((i for i, own in enumerate(given) if own is None), 0)
        expected = '{"id", "features"}: app.toml has [arms] source = \'request\''
        raise InvalidEvent(f"arms[{i}]", arms[i], expected)
