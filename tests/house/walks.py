"""How far a reader walks: the files that one act touches, in the order in which their functions are first called, and
how often the walk turns back to a file that it had left. `python -m tests.house.walks verdict | look [--list]`

    verdict    a verdict becomes a release that is served      look    one look of the rollout
"""

import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = tuple(f"{ROOT}/{room}/" for room in ("features", "models", "serving"))
UNREAD = {"__init__", "__post_init__", "__eq__", "__hash__", "__len__", "<genexpr>", "<lambda>", "<module>"}


def walked(act):
    """(file, function) of each function of the rooms, once, in the order of first calls."""
    seen = {}

    def note(frame, event, _):
        code = frame.f_code
        file = os.path.realpath(code.co_filename)
        if event == "call" and file.startswith(ROOMS) and code.co_name not in UNREAD:
            seen.setdefault((file[len(str(ROOT)) + 1 :], code.co_name, code.co_firstlineno))

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return [key[:2] for key in seen]


def turns(steps):
    """(files in order, [(from, back to, function)])."""
    files, back, here = [], [], None
    for file, function in steps:
        if file != here and file in files:
            back.append((here, file, function))
        if file not in files:
            files.append(file)
        here = file
    return files, back


def verdict():
    from croupier.features import build
    from croupier.features.workspace import Workspace
    from croupier.models import training
    from croupier.serving.operate import verdict_release
    from tests import shop

    span = "2026-09-21T00:00+00:00", "2026-09-22T00:00+00:00"
    shop.write(60, seed=3)
    verdict_release.bootstrap(Workspace.open("shop"))
    build.collect("shop")
    build.join("shop", *span)
    key = build.encode("shop", *span)["features"]
    place = training.train("shop", key, "lin_ts")["candidate"]
    said = {"app": "shop", "features": key, "promoted": "lin_ts", "candidates": {"lin_ts": place}}
    return lambda: verdict_release.publish_verdict(said | {"summary": "by hand", "report": ""})


def look():
    from croupier.features.log.ship import ship
    from croupier.features.utc import SECOND
    from croupier.models.baselines import FixedArm
    from croupier.serving.operate import watch
    from tests.serving.watched import House

    house = House(Path(tempfile.mkdtemp()), FixedArm(arm="a2"))
    house.visits(1500)
    house.now += 6 * SECOND
    ship(house.spool, house.store, host="h")
    return lambda: watch.tick(house.store, house.home, house.spec, house.now)


if __name__ == "__main__":
    os.environ["CROUPIER_VAR"] = tempfile.mkdtemp()
    steps = walked({"verdict": verdict, "look": look}[sys.argv[1]]())
    for name, rooms in (("all rooms", ""), ("serving", "serving/")):
        files, back = turns([step for step in steps if step[0].startswith(rooms)])
        print(f"{name}: {len(files)} files, {len(back)} turns back")
        if "--list" in sys.argv:
            print("\n".join([*files, *(f"  {a} -> {b} {function}" for a, b, function in back)]))
