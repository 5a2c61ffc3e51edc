"""VW's decision-service JSON: one line a decision, `c._multi` its candidates, `p` their probabilities.

    {"_label_cost": -1, "_label_probability": 0.8, "_label_Action": 2, "_labelIndex": 1, "EventId": "…",
     "Timestamp": "…Z", "a": [2, 1], "p": [0.8, 0.2], "c": {"Context": {…}, "_multi": [{"_tag": "…", "Arm": {…}}, …]}}

`a` and `p` start with the chosen arm; `a` counts from 1. What we write, `vw --dsjson --cb_explore_adf -q CA` reads as
it is; what rlclientlib or Azure Personalizer wrote, we read.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from croupier.features.exchange.cells import missing
from croupier.features.exchange.dsjson.line import (
    action_of,
    either,
    flat,
    joined,
    label,
    named_twice,
    number,
    objects,
    unusable,
)
from croupier.features.exchange.dsjson.slots import has_slots, slots
from croupier.features.exchange.record import Record, checked, reason
from croupier.features.exchange.rounded import Rounding
from croupier.features.exchange.row_names import HEAD, RowNames
from croupier.features.exchange.times import invented, micros
from croupier.features.exchange.written_order import NOTE, WrittenOrder
from croupier.features.ids import hash_unit
from croupier.features.quality.audit import PROPENSITY_ONLY
from croupier.features.schema import CHAMPION, Arm, Decision, InvalidEvent, Reward

_HASHED = re.compile("[0-9a-f]{32}")
_BOM = b"\xef\xbb\xbf"
_NOTES = {
    "untimed": "have no Timestamp: they are dated a second apart from the year 2000, by their order",
    "unnamed": "have no EventId: they are named by their content and the lines before them",
    "apprentice": "are of apprentice mode: their reward is −_original_label_cost; _label_cost only says whether the "
                  "baseline's action was taken",
    "unrewarded": "have cost 0: no reward came, which counts as the declared default (reward.default in app.toml)",
}  # fmt: skip
UNUSABLE = (InvalidEvent, KeyError, TypeError, ValueError, IndexError, RecursionError)  # of a line; counted


class DsjsonSource:
    """Two passes: the first learns the arms (a feature that varies for the same arm belongs to the pair)."""

    columns: dict[str, str] = {}  # noqa: RUF012 — a table's notion, empty here

    def __init__(self, path: Path, *, unit_key: str) -> None:
        self.path, self.unit_key, self.reward_kind = path, unit_key, "reward"
        self.skipped: Counter[str] = Counter()
        self.rounding = Rounding()
        self._arms: dict[str, dict[str, Any]] = {}
        self._varying: set[str] = set()
        self._seen, self._several = Counter[str](), Counter[str]()  # several: lines that give a feature several values
        self._order = WrittenOrder()
        self._observed = 0
        self._names: dict[str, dict[str, None]] = {"context": {}, "arm_context": {}, "arm": {}}
        for _, line in self._lines():
            try:
                self._learn(line)
            except UNUSABLE as error:
                self.skipped[reason(error)] += 1
        if not self._arms and not self._names["arm"]:
            reasons = ", ".join(f"{n} × {r}" for r, n in self.skipped.items())
            raise ValueError(f"{path}: found no DSJSON decision with c._multi ({reasons or 'empty'})")
        if self._observed and self._seen["unrewarded"] == self._seen["lines"]:
            raise ValueError(
                f"{path}: found {self._observed:,} observations (lines with EventId and v) beside decisions of which "
                "none has a reward: this log is not joined; expected decisions with the _label_cost of what followed"
            )
        self.notes = self._notes()

    def arms(self) -> list[Arm]:
        """The arms seen so far, each with the features that were always alike."""
        return [
            Arm(arm_id=arm, features={k: v for k, v in features.items() if k not in self._varying})
            for arm, features in self._arms.items()
        ]

    def names(self) -> dict[str, list[str]]:
        """The names of features, as the first pass found them."""
        of_arms = dict.fromkeys(name for features in self._arms.values() for name in features) | self._names["arm"]
        pairs = [*self._names["arm_context"], *sorted(self._varying)]
        return {
            "context": list(self._names["context"]),
            "arm": [n for n in of_arms if n not in self._varying],
            "arm_context": list(dict.fromkeys(pairs)),
        }

    def records(self) -> Iterator[Record]:
        """Yields a record for each line that can be used; the others are counted in `skipped` by reason."""
        for i, (name, line) in enumerate(self._lines()):
            try:
                yield self._record(i, name, line)
            except UNUSABLE as error:
                self.skipped[reason(error)] += 1

    def _lines(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(the name its content gives it, line); a line of several slots is several."""
        self.skipped.clear()
        self.rounding.clear()
        self._slates = 0
        with self.path.open("rb") as file:
            names = RowNames(text.removeprefix(_BOM).strip() for text in islice(file, HEAD))
        with self.path.open("rb") as file:
            for n, text in enumerate(file):
                body = text.removeprefix(_BOM) if n == 0 else text
                name = names.name(body.strip())
                if body.strip() and (line := self._usable(body)) is not None:
                    yield from self._slots(line, name) if has_slots(line) else [(name, line)]

    def _slots(self, line: Mapping[str, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The decisions of a line of several slots; none of a line in which they do not fit."""
        try:
            found = [(event, slot) for event, slot in slots(line, name) if not slot.get("_skipLearn")]
        except UNUSABLE as error:
            self.skipped[reason(error)] += 1
            return
        self._slates += bool(found)
        yield from found

    def _usable(self, text: bytes) -> dict[str, Any] | None:
        """The decision in a line; None where there is none, which is counted."""
        try:
            line = orjson.loads(text)
        except orjson.JSONDecodeError:
            self.skipped["not JSON"] += 1
            return None
        if why := unusable(line):
            self._observed += isinstance(line, dict) and "EventId" in line and "v" in line
            self.skipped[why] += 1
            return None
        return dict(line)

    def _learn(self, line: Mapping[str, Any]) -> None:
        cost, imitates = label(line)
        self._several.update([twice] if (twice := named_twice(_named(line))) else [])
        facts = {"untimed": not line.get("Timestamp"), "unnamed": missing(line.get("EventId")), "apprentice": imitates,
                 "unrewarded": not cost}  # fmt: skip
        self._seen.update(["lines", *(name for name, holds in facts.items() if holds)])
        brought = _brought(line)
        for arm, features, pair in [*map(action_of, line["c"]["_multi"])]:  # of a broken line none
            self._names["arm_context"] |= dict.fromkeys(pair)
            if arm in brought:
                self._names["arm"] |= dict.fromkeys(features)
                continue
            known = self._arms.setdefault(arm, features)
            if known is not features and known != features:
                self._varying |= {k for k in known.keys() | features.keys() if known.get(k) != features.get(k)}
        self._names["context"] |= dict.fromkeys(_context(line, empty=True))
        with suppress(*UNUSABLE):  # `records` counts that line
            first = "Croupier" not in line and _place(line) == 0  # in a log of ours the order is the product's
            p = number(line, "_label_probability")
            self._order.see(first=first, candidates=len(line["c"]["_multi"]), propensity=p)

    def _record(self, i: int, name: str, line: Mapping[str, Any]) -> Record:
        actions = [action_of(action) for action in line["c"]["_multi"]]
        arms = tuple(arm for arm, _, _ in actions)
        chosen = _place(line)
        if not 0 <= chosen < len(arms):
            raise InvalidEvent("_labelIndex", chosen, f"0 to {len(arms) - 1}, a place in c._multi")
        pmf, p, stage = self._drawn_from(line, arms, arms[chosen])
        own, brought = objects("Croupier", line.get("Croupier", {})), _brought(line)
        event = str(name if missing(line.get("EventId")) else line["EventId"])
        at = _time(line["Timestamp"]) if line.get("Timestamp") else invented(i)
        decision = checked(
            Decision(
                event_id=event,
                at=at,
                unit_id=self._unit(own.get("unit_id"), event),
                context=_context(line),
                arms=arms,
                pmf=pmf,
                arm=arms[chosen],
                propensity=p,
                policy=own.get("policy", "imported"),
                role=own.get("role", CHAMPION),
                release=0,
                stage=own.get("stage", stage),
                pass_probability=1.0 - line.get("pdrop", 0.0),
                arm_context=tuple(
                    {k: v for k, v in (f | pair).items() if (k in self._varying and a not in brought) or k in pair}
                    for a, f, pair in actions
                ),
                arm_features=tuple(f if a in brought else None for a, f, _ in actions) if brought else (),
            )
        )
        decision = decision if any(decision.arm_context) else Decision(**_without_pairs(decision))
        rewards = (Reward(event_id=event, at=at, kind=self.reward_kind, value=-c),) if (c := label(line)[0]) else ()
        return Record(decision=self._order.mended(decision), rewards=rewards)

    def _drawn_from(
        self, line: Mapping[str, Any], arms: tuple[str, ...], arm: str
    ) -> tuple[tuple[float, ...], float, str]:
        """The pmf of a line, the probability of its `arm`, and its stage, which says where that alone was logged."""
        p, a, ps = number(line, "_label_probability"), either(line, "a"), either(line, "p")
        if len(ps) == len(a) == len(arms):
            return *self.rounding.whole([q for _, q in sorted(zip(a, ps, strict=True))], arms, arm, p), ""
        return *self.rounding.spread(arms, arm, p), PROPENSITY_ONLY

    def _unit(self, unit_id: object, event: str) -> str:
        """What an export of ours hashed already stays; whatever else stands there may be a raw id."""
        text = str(event if missing(unit_id) else unit_id)
        return text if _HASHED.fullmatch(text) else hash_unit(self.unit_key, text)

    def _notes(self) -> list[str]:
        out = [f"{len(self._arms)} arms, named by _tag or id where there is one, else by a digest of their features"]
        if self._varying:
            names = ", ".join(sorted(self._varying))
            out.append(f"these vary for the same arm, so they belong to the pair (arm_context): {names}")
        n = self._seen["lines"]
        if self._slates:
            how = "a decision over the actions that were left, with its conditional probability"
            out.append(f"{self._slates} lines have several slots: each is {how}; the slots of a line are of one unit")
        for what, words in _NOTES.items():
            if self._seen[what]:
                out.append(f"{self._seen[what]} of {n} lines {words}")
        for name, lines in self._several.most_common(3):
            out.append(
                f"{lines} of {n} lines give {name} several values: the last counts here, and the gateway refuses such "
                "a call; send one value, or a list of words"
            )
        out += [NOTE] * self._order.after_draw
        return out + [f"skipped {n} lines: {why}" for why, n in self.skipped.items()]


def _place(line: Mapping[str, Any]) -> int:
    """Where in c._multi the shown action stands, from 0."""
    return int(line["_labelIndex"] if "_labelIndex" in line else line["_label_Action"] - 1)


def _brought(line: Mapping[str, Any]) -> frozenset[str]:
    """The arms of a line that its request brought along, in exports of ours."""
    found = objects("Croupier", line.get("Croupier", {})).get("brought", [])
    return frozenset(map(str, found)) if isinstance(found, list) else frozenset()


def _context(line: Mapping[str, Any], *, empty: bool = False) -> dict[str, Any]:
    return joined(flat(_named(line), empty=empty))


def _named(line: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in line["c"].items() if not k.startswith("_")}


def _without_pairs(decision: Decision) -> dict[str, Any]:
    return {name: getattr(decision, name) for name in Decision.__slots__} | {"arm_context": ()}


def _time(said: Any) -> int:
    """UTC µs. Raises InvalidEvent for what is no time."""
    try:
        return micros(said)
    except (TypeError, ValueError, OverflowError, AttributeError):
        raise InvalidEvent("Timestamp", said, "ISO 8601") from None
