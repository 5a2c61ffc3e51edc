"""Whatever stands in any field of any call: an answer, or a refusal (4xx) that names this field as its caller does."""

import contextlib

import pytest

from croupier.serving.gateway import rest
from croupier.serving.gateway.desk import Desk
from croupier.serving.gateway.options import Options
from croupier.serving.gateway.problems import CallProblem
from croupier.serving.gateway.ranking import multislot
from croupier.serving.gateway.ranking.rewards import RewardCall, of_event
from tests.serving.gateway.door import TOML, actions, declared


def nested(kind, key=None, levels=200):
    """What is nested so deep."""
    found = kind()
    for _ in range(levels):
        found = [found] if key is None else {key: found}
    return found


VALUES = [
    None, True, 7, -1, 2**63, 1e308, "", "x", "\0", "a\nb", "\u202e", "é" * 200, "x" * 70_000, "نص", [], [None], {},
    {"": 1}, {"a.b": 1, "a": {"b": 2}}, [{"id": "red"}] * 2, nested(list), nested(dict, "a"), list(range(1200)),
]  # fmt: skip
BOTH = ("contextFeatures", 70_000)  # a slot's features and its page's are one context, of which only the size is wrong
GONE = ("actions", "slots[0].baselineAction")  # a baseline that names the action that was changed names none any more
RANK = {
    "contextFeatures": [{"hour": 1, "device": {"type": "x"}}],
    "actions": [*actions("red"), {"id": "blue", "features": [{"affinity": 1}]}],
    "excludedActions": ["green"],
    "eventId": "",
    "deferActivation": False,
}
SLOT = {"id": "a", "features": [{"size": 1}], "excludedActions": ["green"], "baselineAction": "red"}
PAGE = {name: value for name, value in RANK.items() if name != "excludedActions"} | {"slots": [SLOT], "eventId": None}
SELECT = {
    "unit_id": "u",
    "context": {"hour": 1},
    "arms": ["red", "blue", "green"],
    "arm_context": [{"affinity": 1}, {}, {}],
}
REWARD = {"event_id": "s", "kind": "click", "value": 1, "reward_id": "r", "at": 0}
SLOTS = {"reward": [{"slotId": "a", "value": 1}]}


def raised(found):
    if isinstance(found, CallProblem):
        raise found


def rewarded(read):
    return lambda desk, body: raised(
        desk.rewards.take([RewardCall(event_id="e", body=body, reward_id="", read=read)])[0]
    )


CALLS = {
    "rank": (RANK, lambda desk, body: desk.rank(body)),
    "page": (PAGE, lambda desk, body: desk.multislot(body)),
    "reward": ({"value": 1}, rewarded(of_event)),
    "reward of slots": (SLOTS, rewarded(multislot.rewards)),
    "select": (SELECT, lambda desk, body: raised(rest.selections(desk, [body])[0])),
    "reward over REST": (REWARD, lambda desk, body: raised(rest.outcomes(desk, [body])[0])),
}


def places(tree, path=()):
    """Every place in a body, by its path."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def put(tree, path, value):
    if not path:
        return value
    copied = dict(tree) if isinstance(tree, dict) else list(tree)
    copied[path[0]] = put(copied[path[0]], path[1:], value)
    return copied


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    toml = TOML + '[context.Slot_size]\ntype = "numeric"\n[arms]\nsource = "both"\n'
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", str(declared(tmp_path_factory.mktemp("app"), toml=toml)))
        patch.setenv("CROUPIER_DURABILITY", "NORMAL")
        with contextlib.closing(Desk(Options(app="shop", deferred=10**6))) as found:
            yield found


@pytest.mark.medium
@pytest.mark.parametrize("name", CALLS)
def test_each_field_is_answered_or_refused_by_its_name(desk, name):
    body, call = CALLS[name]
    call(desk, body)
    odd = []
    for path in places(body):
        for value in VALUES:
            try:
                call(desk, put(body, path, value))
            except CallProblem as problem:
                named = problem.field.startswith(str(path[0])) or (problem.field, len(str(value))) == BOTH
                named = named or (path[0], problem.field) == GONE
                if not (400 <= problem.status < 500 and named and len(problem.detail) < 1000):
                    odd.append((path, value, problem.status, problem.field, problem.detail[:100]))
    assert odd == [], [(o[0], repr(o[1])[:30], *o[2:]) for o in odd]


@pytest.mark.medium
@pytest.mark.parametrize("name", CALLS)
def test_what_is_no_field_is_named(desk, name):
    body, call = CALLS[name]
    for path in ((), *(each for each in places(body) if isinstance(each[-1], int))):
        inner = body
        for key in path:
            inner = inner[key]
        if isinstance(inner, dict):
            with pytest.raises(CallProblem) as found:
                call(desk, put(body, path, inner | {"surplus": 1}))
            where = found.value.field or found.value.detail
            assert where.startswith(str(path[0]) if path else "surplus") or "surplus" in found.value.detail
