"""One line of DSJSON taken apart: what kind of problem it is, its actions, its label.

VW reads `_p` and `_a` as `p` and `a`. rlclientlib writes `_original_label_cost` beside `_label_cost`: the cost that was
observed. They differ in apprentice mode, where `_label_cost` says whether the baseline's action was taken.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

import orjson

from croupier.features.exchange.arm_ids import bare
from croupier.features.schema import InvalidEvent

OWN = ("Context", "Arm", "Pair")  # namespaces of our own exports: their features keep their names
SERVICE = (
    "FromUrl",
    "j",
)  # Personalizer's own, around what its callers sent: theirs are joined by dots, as at its door
ID_NAMES = ("arm_id", "id", "Id", "ID")
NO_MULTI = "no c._multi (an observation, or another problem type)"
_ELEMENT, _WORD = re.compile(r"(.+)\[(\d+)\]"), re.compile(r"(.+?)\[=(.*)\]", re.DOTALL)


def unusable(line: object) -> str:
    """Why a line is no decision, or ""."""
    if not isinstance(line, dict) or not isinstance(line.get("c"), dict):
        return NO_MULTI
    context = line["c"]
    if "_label_ca" in line or "_ca" in line:
        return "continuous actions (_label_ca), which croupier does not decide"
    multi = context.get("_multi")
    actions = multi if isinstance(multi, list) else []
    if any(isinstance(action, dict) and "_slot_id" in action for action in actions):
        return "slates (_slot_id): one reward for several slots at once, which croupier does not decide"
    if not actions or not all(isinstance(action, dict) for action in actions):
        return NO_MULTI
    if _is_igl(line):
        return "interaction-grounded learning (_definitely_bad): its costs are no observed rewards"
    return "_skipLearn" if line.get("_skipLearn") else ""


def label(line: Mapping[str, Any]) -> tuple[float, bool]:
    """The observed cost, and whether `_label_cost` says something else (apprentice mode). Raises InvalidEvent on what
    is no number."""
    cost = number(line, "_label_cost", 0.0)
    original = number(line, "_original_label_cost", cost)
    return float(original), original != cost


def number(line: Mapping[str, Any], name: str, default: float | None = None) -> float:
    """Raises KeyError where there is none and no default, InvalidEvent where it is no finite number."""
    value = line[name] if default is None else line.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise InvalidEvent(name, value, "a finite number")
    return value


def either(line: Mapping[str, Any], name: str) -> Any:
    """Returns what stands under a name or under it with an underscore (`p` or `_p`); an empty list where there is
    neither."""
    return line.get(name, line.get(f"_{name}", ()))


def _is_igl(line: Mapping[str, Any]) -> bool:
    observations = line.get("o")
    parts = (line, *(o for o in observations if isinstance(o, dict))) if isinstance(observations, list) else (line,)
    return any(
        "_definitely_bad" in part or (isinstance(part.get("v"), dict) and "_definitely_bad" in part["v"])
        for part in parts
    )


def objects(name: str, tree: object) -> dict[str, Any]:
    """Returns the value if it is an object. Raises InvalidEvent where it is none."""
    if not isinstance(tree, dict):
        raise InvalidEvent(name, tree, "an object")
    return tree


def action_of(action: Mapping[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """(arm id, features, features that can only be the pair's)."""
    pair = joined(flat(objects("Pair", action.get("Pair") or {})))
    own = action.get("i") if "j" in action else None  # {"constant": 1, "id": …} of Personalizer
    marks = own if isinstance(own, dict) and own.keys() <= {"constant", "id"} else {}
    shown = {k: v for k, v in action.items() if k != "Pair" and not k.startswith("_") and not (k == "i" and marks)}
    features = joined(flat(shown))
    names = (action.get("_tag"), marks.get("id"), *(features.get(n) for n in ID_NAMES))
    arm = next((bare(n) for n in names if n is not None and bare(n)), "") or "arm-" + _digest(features)
    return arm, {k: v for k, v in features.items() if k not in ID_NAMES}, pair


def flat(tree: Mapping[str, Any], prefix: str = "", *, empty: bool = False, joint: str = "_") -> dict[str, Any]:
    """Nested namespaces → NAMESPACE_name; our own namespaces and Personalizer's fall away; with `empty`, what holds no
    value has a name, too. Raises InvalidEvent on what is no feature."""
    return dict(entries(tree, prefix, empty=empty, joint=joint))


def entries(
    tree: Mapping[str, Any], prefix: str = "", *, empty: bool = False, joint: str = "_"
) -> Iterator[tuple[str, Any]]:
    """Yields what `flat` has, a name as often as it is given."""
    for key, value in tree.items():
        name = f"{prefix}{joint}{key}" if prefix else key
        if not prefix and joint == "_" and key in SERVICE and isinstance(value, list | dict):
            for part in value if isinstance(value, list) else [value]:
                yield from entries(objects(key, part), empty=empty, joint=".") if part is not None else ()
        elif isinstance(value, dict):
            yield from entries(value, "" if not prefix and key in OWN else name, empty=empty, joint=joint)
        elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
            for part in value:
                yield from entries(objects(name, part), name, empty=empty, joint=joint) if part is not None else ()
        elif empty or (value is not None and not (isinstance(value, list) and all(part is None for part in value))):
            yield name, value


def named_twice(tree: Mapping[str, Any]) -> str:
    """The first feature that is given two values; "" where none is."""
    known: dict[str, Any] = {}
    return next((name for name, value in entries(tree) if known.setdefault(name, value) != value), "")


def joined(flat: dict[str, Any]) -> dict[str, Any]:
    """Joins the entries `v[0]`, `v[1]`, … to the list `v`, and `v[=red]`, `v[=new]`, … to a list of these words."""
    lists: dict[str, dict[int, Any]] = {}
    out: dict[str, Any] = {}
    words: dict[str, Any] = {}
    for name, value in flat.items():
        match = _ELEMENT.fullmatch(name)
        if match:
            lists.setdefault(match[1], {})[int(match[2])] = value
        elif (word := _WORD.fullmatch(name)) and value is True:
            words.setdefault(word[1], []).append(word[2])
        else:
            out[name] = value
    return out | words | {name: [values[i] for i in sorted(values)] for name, values in lists.items()}


def _digest(features: Mapping[str, Any]) -> str:
    return hashlib.blake2b(orjson.dumps(features, option=orjson.OPT_SORT_KEYS), digest_size=4).hexdigest()
