"""What is planted in each world, and the cause that the first line must then name. A weekend is sound: no alarm."""

from collections.abc import Callable, Mapping

from croupier.features.worlds.hours import Trouble
from croupier.features.worlds.reels_hours import EVERY, HOSTS
from croupier.models.simulation.health.worlds import FRESH, NEWS, OBD

Planted = tuple[str, Callable[[int, int], Trouble]]  # the cause to name; (seed, first hour) → what is wrong
OFTEN = (1, 4, 8, 9)  # arms that are shown often enough for their rewards to be missed
STAYS = 4  # places of the news world, newest first, whose arms stay for six days or more


def _arm(seed: int, _: int) -> str:
    return f"reel-{OFTEN[seed % 4]:02d}"


def _arm_of_news(seed: int, t: int) -> str:
    """Returns an arm that is there for six days from the hour on."""
    places = [(k - t // EVERY) % 10 for k in range(STAYS)]
    found = [k for k in places if k in OFTEN]
    return f"reel-{found[seed % len(found)]:02d}"


def _arm_of_fresh(_: int, t: int) -> str:
    """Returns the third oldest arm: it has nine days behind it and six before it."""
    return f"reel-{(t // EVERY + 2) % 40:02d}"


def _faults(arm: Callable[[int, int], str]) -> Mapping[str, Planted]:
    """Returns the faults of the reels world; `arm`: (seed, first hour) → the arm that suffers."""
    return {
        "reward logging broken for one arm": ("reward_feed_arm", lambda seed, t: Trouble(feed_arm=arm(seed, t))),
        "10 % of rewards lost": ("rewards_lost", lambda *_: Trouble(lost=0.1)),
        "30 % of rewards lost": ("rewards_lost", lambda *_: Trouble(lost=0.3)),
        "a feature frozen": ("feature_frozen", lambda *_: Trouble(frozen="age")),
        "a feature scaled by 100": ("feature_scaled", lambda *_: Trouble(scaled=("age", 100.0))),
        "two features swapped": ("feature_swapped", lambda *_: Trouble(swapped=("age", "session_depth"))),
        "a category renamed": ("category_renamed", lambda *_: Trouble(renamed=("device", "tv", "television"))),
        "bot traffic, one unit 30 %": ("bot_traffic", lambda *_: Trouble(bot=0.3)),
        "rewards delayed tenfold": ("reward_delay", lambda *_: Trouble(slower=10.0)),
        "premature convergence": ("premature_convergence", lambda *_: Trouble(sharper=8.0)),
        "a dying arm, half its reward in a day": (
            "dying_arm", lambda seed, t: Trouble(fading=(arm(seed, t), 0.693 / 24), since=t),
        ),
        "one segment's taste flips": (
            "taste_flip", lambda seed, _: Trouble(flipped=("country", ("AT", "BR", "IN", "JP", "US", "ZA")[seed % 6])),
        ),
        "one host's clock two minutes ahead": ("clock_skew", lambda seed, _: Trouble(skewed=(HOSTS[seed % 3], 120.0))),
    }  # fmt: skip


FAULTS = _faults(_arm)
FAULTS_OF_NEWS = _faults(_arm_of_news)
FAULTS_OF_FRESH = _faults(_arm_of_fresh)

# of the real log: what its columns can suffer. It has no hosts, and its clicks have no delays
FAULTS_OF_OBD: Mapping[str, Planted] = {
    "no reward is logged any more": ("rewards_lost", lambda *_: Trouble(lost=1.0)),
    "a feature frozen": ("feature_frozen", lambda *_: Trouble(frozen="position")),
    "a feature scaled by 100": ("feature_scaled", lambda *_: Trouble(scaled=("affinity", 100.0))),
    "two features swapped": (
        "feature_swapped", lambda *_: Trouble(swapped=("user_feature_1", "user_feature_2")),
    ),
    "a category renamed": ("category_renamed", lambda *_: Trouble(renamed=("position", "2", "two"))),
    "bot traffic, one unit 30 %": ("bot_traffic", lambda *_: Trouble(bot=0.3)),
}  # fmt: skip


def of(world: str) -> Mapping[str, Planted]:
    """Returns the faults of a world."""
    return {OBD: FAULTS_OF_OBD, NEWS: FAULTS_OF_NEWS, FRESH: FAULTS_OF_FRESH}.get(world, FAULTS)
