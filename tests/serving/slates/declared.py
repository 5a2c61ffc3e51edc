"""The reels app with something asked of every slate, and by hand what a slot may then show."""

from croupier.features.store import layout
from tests.serving import apps
from tests.serving.embedded.shop import opened

MINIMUMS = {"news": 1, "music": 1}
DECLARED = "".join(
    f'\n[[slates.minimums]]\nfeature = "genre"\nvalue = "{value}"\nleast = {least}\n'
    for value, least in MINIMUMS.items()
)
GENRE = {arm.arm_id: arm.features["genre"] for arm in apps.sample().arms}
K = 3


def declared(var, text=DECLARED, **where):
    """The app "shop" below `var`, which asks this of slates; nothing is released yet."""
    w = opened(var, **where)
    path = w.home / layout.APP_TOML
    path.write_text(path.read_text() + text)
    return w


def may_show(left, above, k=K, genre=GENRE, minimums=MINIMUMS):
    """By hand: the arms that the next slot may show."""
    missing = {value: least - sum(genre[arm] == value for arm in above) for value, least in minimums.items()}
    short = {value for value, n in missing.items() if n > 0}
    if sum(missing[value] for value in short) < k - len(above):
        return list(left)
    return [arm for arm in left if genre[arm] in short] if short else list(left)


def can_be_kept(arms, k=K):
    """True if a slate of k of these arms can keep all minimums."""
    return (
        all(sum(GENRE[arm] == value for arm in arms) >= least for value, least in MINIMUMS.items()) and len(arms) >= k
    )
