"""What lies in a spool, for tests: the log itself answers only what a decision or a shipment needs."""

import orjson

from croupier.features.schema import Reward


def rewards_of(spool, event_ids):
    """Event -> (row id, reward) of these events, in order of arrival; events without any are left out."""
    found = {}
    for row, body in spool.read("rewards", limit=10**9):
        reward = Reward(**orjson.loads(body))
        if reward.event_id in set(event_ids):
            found.setdefault(reward.event_id, []).append((row, reward))
    return found
