"""What people were last told of an app's alarm, so that one alarm is one message. They are told when it begins, when
its cause becomes another, once a day while it stands, and when it is over. An alarm that somebody silenced is not over.

It is kept in the app's store once it has been sent: what could not be sent is due again at the next look.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from croupier.features.store import layout
from croupier.features.store.storage import Store
from croupier.features.utc import DAY
from croupier.models.health.symptom import ACT

BEGAN, STANDS, OVER = "alarm", "still", "resolved"


def due(store: Store, said: Mapping[str, Any], *, now: int) -> str:
    """Returns what people should be told of what health `said` (its "level", "cause" and "silenced" symptoms): BEGAN,
    STANDS, OVER, or "" where they know it. `now`: UTC µs."""
    raw, known = store.read(layout.NOTICE)
    last: dict[str, Any] = orjson.loads(raw) if known is not None else {"level": "", "cause": "", "at": 0}
    if said["level"] != ACT:
        hushed = any(symptom["level"] == ACT for symptom in said["silenced"])
        return OVER if last["level"] == ACT and not hushed else ""
    if last["level"] != ACT or last["cause"] != said["cause"]:
        return BEGAN
    return STANDS if now - last["at"] >= DAY else ""


def sent(store: Store, said: Mapping[str, Any], *, now: int) -> None:
    """Notes that people were told of this."""
    store.put(layout.NOTICE, orjson.dumps({"level": said["level"], "cause": said["cause"], "at": now}))
