"""A process that logs decisions until it is killed: `python -m tests.faults.appender SPOOL DURABILITY ROUND`.

It prints each event id when it asks (`? id`) and when it is acknowledged (`! id`); the pipe outlives a kill -9.
"""

import os
import sys
from pathlib import Path

from croupier.features.log.spool import Spool
from croupier.features.schema import Decision


def decision(event_id: str) -> Decision:
    return Decision(
        event_id=event_id,
        at=1_700_000_000_000_000,
        unit_id="u" * 32,
        context={"x": "y" * 400},
        arms=("a", "b"),
        pmf=(0.5, 0.5),
        arm="a",
        propensity=0.5,
        policy="p",
        role="champion",
        release=1,
    )


def main(path: str, durability: str, name: str) -> None:
    spool = Spool(Path(path), durability=durability)
    for batch in range(100_000):
        ids = [f"{name}-{batch}-{i}" for i in range(1 + batch % 7)]
        os.write(1, "".join(f"? {one}\n" for one in ids).encode())
        spool.append_decisions([decision(one) for one in ids])
        os.write(1, "".join(f"! {one}\n" for one in ids).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
