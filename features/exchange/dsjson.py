"""VW's decision-service JSON: one line a decision, `c._multi` its candidates, `p` their probabilities.

    {"_label_cost": -1, "_label_probability": 0.8, "_label_Action": 2, "_labelIndex": 1, "EventId": "…",
     "Timestamp": "…Z", "a": [2, 1], "p": [0.8, 0.2], "c": {"Context": {…}, "_multi": [{"_tag": "…", "Arm": {…}}, …]}}

`a` and `p` start with the chosen arm; `a` counts from 1. What we write, `vw --dsjson --cb_explore_adf -q CA` reads as
it is; what rlclientlib or Azure Personalizer wrote, we read.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from features.audit import PROPENSITY_ONLY
from features.exchange.record import Record, checked, spread
from features.ids import hash_unit
from features.schema import Arm, Decision, InvalidEvent, Reward

OWN = ("Context", "Arm", "Pair")  # namespaces of our own exports: their features keep their names
ID_NAMES = ("arm_id", "id", "Id", "ID")
_HASHED = re.compile("[0-9a-f]{32}")
_ELEMENT = re.compile(r"(.+)\[(\d+)\]")
_NO_TIME = datetime(2000, 1, 1, tzinfo=UTC)
UNUSABLE = (InvalidEvent, KeyError, TypeError, ValueError, IndexError, RecursionError)  # of a line; counted


class DsjsonSource:
    """Two passes: the first learns the arms (a feature that varies for the same arm belongs to the pair)."""

    columns: dict[str, str] = {}  # noqa: RUF012 — a table's notion, empty here

    def __init__(self, path: Path, *, unit_key: str) -> None:
        self.path, self.unit_key, self.reward_kind = path, unit_key, "reward"
        self.skipped: Counter[str] = Counter()
        self._arms: dict[str, dict[str, Any]] = {}
        self._varying: set[str] = set()
        for line in self._lines():
            try:
                self._learn(line)
            except UNUSABLE as error:
                self.skipped[_reason(error)] += 1
        if not self._arms:
            reasons = ", ".join(f"{n} × {r}" for r, n in self.skipped.items())
            raise ValueError(f"{path}: found no DSJSON decision with c._multi ({reasons or 'empty'})")
        self.notes = self._notes()

    def arms(self) -> list[Arm]:
        return [Arm(arm_id=arm, features={k: v for k, v in features.items() if k not in self._varying})
                for arm, features in self._arms.items()]  # fmt: skip

    def records(self) -> Iterator[Record]:
        for i, line in enumerate(self._lines()):
            try:
                yield self._record(i, line)
            except UNUSABLE as error:
                self.skipped[_reason(error)] += 1

    def _lines(self) -> Iterator[dict[str, Any]]:
        self.skipped.clear()
        with self.path.open("rb") as file:
            for text in file:
                if not text.strip():
                    continue
                try:
                    line = orjson.loads(text)
                except orjson.JSONDecodeError:
                    self.skipped["not JSON"] += 1
                    continue
                if not isinstance(line, dict) or not _has_actions(line.get("c")):
                    self.skipped["no c._multi (an observation, or another problem type)"] += 1
                elif line.get("_skipLearn"):
                    self.skipped["_skipLearn"] += 1
                else:
                    yield line

    def _learn(self, line: Mapping[str, Any]) -> None:
        for arm, features, _ in [*map(_action, line["c"]["_multi"])]:  # of a broken line none
            known = self._arms.setdefault(arm, features)
            if known is not features and known != features:
                self._varying |= {k for k in known.keys() | features.keys() if known.get(k) != features.get(k)}

    def _record(self, i: int, line: Mapping[str, Any]) -> Record:
        actions = [_action(action) for action in line["c"]["_multi"]]
        arms = tuple(arm for arm, _, _ in actions)
        chosen = line["_labelIndex"] if "_labelIndex" in line else line["_label_Action"] - 1
        if not 0 <= chosen < len(arms):
            raise InvalidEvent("_labelIndex", chosen, f"0 to {len(arms) - 1}, a place in c._multi")
        p, stage = line["_label_probability"], PROPENSITY_ONLY
        pmf = spread(arms, arms[chosen], p)
        if len(line.get("p", ())) == len(line.get("a", ())) == len(arms):
            pmf, stage = tuple(q for _, q in sorted(zip(line["a"], line["p"], strict=True))), ""
        own = _features("Croupier", line.get("Croupier", {}))
        event = str(line.get("EventId") or f"{self.path.stem}-{i:08d}")
        at = _at(line, i)
        decision = checked(Decision(
            event_id=event, at=at, unit_id=self._unit(own.get("unit_id"), event),
            context=_joined(_flat({k: v for k, v in line["c"].items() if not k.startswith("_")})), arms=arms, pmf=pmf,
            arm=arms[chosen], propensity=p, policy=own.get("policy", "imported"), role=own.get("role", "champion"),
            release=0, stage=own.get("stage", stage), pass_probability=1.0 - line.get("pdrop", 0.0),
            arm_context=tuple({k: v for k, v in (f | pair).items() if k in self._varying or k in pair}
                              for _, f, pair in actions),
        ))  # fmt: skip
        decision = decision if any(decision.arm_context) else Decision(**_without_pairs(decision))
        cost = float(line.get("_label_cost", 0.0))
        rewards = (Reward(event_id=event, at=at, kind=self.reward_kind, value=-cost),) if cost else ()
        return Record(decision=decision, rewards=rewards)

    def _unit(self, unit_id: object, event: str) -> str:
        """What an export of ours hashed already stays; whatever else stands there may be a raw id."""
        text = str(unit_id or event)
        return text if _HASHED.fullmatch(text) else hash_unit(self.unit_key, text)

    def _notes(self) -> list[str]:
        out = [f"{len(self._arms)} arms, named by _tag or id where there is one, else by a digest of their features"]
        if self._varying:
            names = ", ".join(sorted(self._varying))
            out.append(f"these vary for the same arm, so they belong to the pair (arm_context): {names}")
        return out + [f"skipped {n} lines: {reason}" for reason, n in self.skipped.items()]


def export(interactions: pl.DataFrame, arms: Sequence[Arm]) -> Iterator[bytes]:
    """Lines (with newline) of schema.INTERACTIONS. Cost is −reward. Raises ValueError on a feature name that VW would
    swallow (a leading underscore)."""
    features = {arm.arm_id: _named(arm.features) for arm in arms}
    for row in interactions.iter_rows(named=True):
        d = Decision.from_row(row)
        chosen = d.arms.index(d.arm)
        order = [chosen, *(i for i in range(len(d.arms)) if i != chosen)]
        pairs = d.arm_context or ({},) * len(d.arms)
        multi = [{"_tag": arm, "Arm": features.get(arm, {}), "Pair": _named(pair)}
                 for arm, pair in zip(d.arms, pairs, strict=True)]  # fmt: skip
        at = datetime.fromtimestamp(d.at // 1_000_000, UTC).replace(microsecond=d.at % 1_000_000)
        line = {
            "_label_cost": 0.0 - row["reward"], "_label_probability": d.propensity, "_label_Action": chosen + 1,
            "_labelIndex": chosen, "Version": "1", "EventId": d.event_id, "Timestamp": at.isoformat(),
            "a": [i + 1 for i in order], "c": {"Context": _named(d.context), "_multi": multi},
            "p": [d.pmf[i] for i in order], "pdrop": 1.0 - d.pass_probability,
            "Croupier": {"unit_id": d.unit_id, "policy": d.policy, "role": d.role, "stage": d.stage},
        }  # fmt: skip
        yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _named(features: Mapping[str, Any]) -> dict[str, Any]:
    """As VW can tell them apart: no missing values, float lists element by element."""
    out: dict[str, Any] = {}
    for name, value in features.items():
        if name.startswith("_"):
            raise ValueError(f"feature {name!r}: VW ignores names that start with an underscore; rename it to export")
        if isinstance(value, list):
            out |= {f"{name}[{i}]": x for i, x in enumerate(value)}
        elif value is not None:
            out[name] = value
    return out


def _has_actions(context: object) -> bool:
    multi = context.get("_multi") if isinstance(context, dict) else None
    return isinstance(multi, list) and bool(multi) and all(isinstance(action, dict) for action in multi)


def _features(name: str, tree: object) -> dict[str, Any]:
    """Itself. Raises InvalidEvent where it is no object."""
    if not isinstance(tree, dict):
        raise InvalidEvent(name, tree, "an object")
    return tree


def _action(action: Mapping[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """(arm id, features, features that can only be the pair's)."""
    pair = _joined(_flat(_features("Pair", action.get("Pair") or {})))
    features = _joined(_flat({k: v for k, v in action.items() if k != "Pair" and not k.startswith("_")}))
    named = next((str(features[n]) for n in ID_NAMES if n in features), "")
    arm = str(action.get("_tag") or named) or "arm-" + _digest(features)
    return arm, {k: v for k, v in features.items() if k not in ID_NAMES}, pair


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested namespaces → NAMESPACE_name; our own namespaces fall away. Raises InvalidEvent on what is no feature."""
    out: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}_{key}" if prefix else key
        if isinstance(value, dict):
            out |= _flat(value, "" if not prefix and key in OWN else name)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for part in value:
                out |= _flat(_features(name, part), name)
        elif value is not None:
            out[name] = value
    return out


def _joined(flat: dict[str, Any]) -> dict[str, Any]:
    """`v[0]`, `v[1]`, … → the list `v`."""
    lists: dict[str, dict[int, Any]] = {}
    out: dict[str, Any] = {}
    for name, value in flat.items():
        match = _ELEMENT.fullmatch(name)
        if match:
            lists.setdefault(match[1], {})[int(match[2])] = value
        else:
            out[name] = value
    return out | {name: [values[i] for i in sorted(values)] for name, values in lists.items()}


def _at(line: Mapping[str, Any], i: int) -> int:
    """UTC µs; where a line has no time, a second a line from the year 2000."""
    stamp = line.get("Timestamp")
    at = datetime.fromisoformat(stamp) if stamp else datetime.fromtimestamp(_NO_TIME.timestamp() + i, UTC)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def _without_pairs(decision: Decision) -> dict[str, Any]:
    return {name: getattr(decision, name) for name in Decision.__slots__} | {"arm_context": ()}


def _digest(features: Mapping[str, Any]) -> str:
    return hashlib.blake2b(orjson.dumps(features, option=orjson.OPT_SORT_KEYS), digest_size=4).hexdigest()


def _reason(error: Exception) -> str:
    return f"no {error.args[0]}" if isinstance(error, KeyError) else f"bad {getattr(error, 'field', 'value')}"
