"""The reels app with rules and limits, and whether decisions keep them."""

import numpy as np

from croupier.features.store import layout
from tests.serving import apps
from tests.serving.embedded.shop import opened

DECLARED = """
[[rules]]
name = "no news below 30"
when.age = { below = 30 }
arm.genre = ["news"]

[[rules]]
name = "not in Brazil"
when.country = ["BR"]
arms = ["reel-07", "reel-16"]
missing = "keep"

[[constraints]]
name = "music"
arm.genre = ["music"]
floor = 0.25

[[constraints]]
name = "less comedy"
arm.genre = ["comedy"]
cap = 0.4

[[constraints]]
name = "reel-02"
arms = ["reel-02"]
cap = 0.3
"""
EXPOSURE = """
[[constraints]]
name = "sports seen"
kind = "exposure"
arm.genre = ["sports"]
floor = 0.25
"""
GENRE = {arm.arm_id: arm.features["genre"] for arm in apps.sample().arms}


def declared(var, text=DECLARED, **where):
    """The app "shop" below `var`, with these rules and constraints; nothing is released yet."""
    w = opened(var, **where)
    path = w.home / layout.APP_TOML
    path.write_text(path.read_text() + text)
    return w


def left_out(request):
    """By hand: the arms of a request that the rules leave out."""
    age, country = request.context.get("age"), request.context.get("country")
    young = {arm for arm in request.arms if GENRE[arm] == "news" and (age is None or age < 30)}
    return young | ({"reel-07", "reel-16"} & set(request.arms) if country == "BR" else set())


def can_be_met(arms):
    """By hand: True if the caps leave 1 for these arms; its floor of music is of those that list music."""
    caps = {"comedy": 0.4}
    rest = sum(0.3 if arm == "reel-02" else 1.0 for arm in arms if GENRE[arm] != "comedy")
    comedy = min(caps["comedy"], sum(0.3 if arm == "reel-02" else 1.0 for arm in arms if GENRE[arm] == "comedy"))
    return rest + comedy >= 1


def broken(decision):
    """What a logged decision breaks, of the limits and the rules; empty where it keeps all."""
    mass = dict(zip(decision.arms, decision.pmf, strict=True))
    music = sum(p for arm, p in mass.items() if GENRE[arm] == "music")
    found = []
    if any(GENRE[arm] == "music" for arm in mass) and music < 0.25 - 1e-9:
        found.append(f"music {music}")
    comedy = sum(p for arm, p in mass.items() if GENRE[arm] == "comedy")
    found += [f"comedy {comedy}"] if comedy > 0.4 + 1e-9 else []
    found += [f"reel-02 {mass['reel-02']}"] if mass.get("reel-02", 0.0) > 0.3 + 1e-9 else []
    found += [f"{arm} is ruled out" for arm in left_out(decision) & {decision.arm, *decision.arms}]
    found += ["propensity"] if mass[decision.arm] != decision.propensity else []
    found += [] if np.isclose(sum(mass.values()), 1.0, atol=1e-9) else ["sum"]
    return found
