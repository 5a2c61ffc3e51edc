"""Every app of an installation in one sentence, with its newest pages: what the landing page and the terminal show.

An app whose health cannot be computed says why. Neither that, nor a verdict that is old or about an old hour, nor an
app too young to be judged is ever shown as well: its level is UNKNOWN.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from croupier.features import clock
from croupier.features.quality.pages import listing_page
from croupier.features.reward import window_us
from croupier.features.settings import Settings
from croupier.features.store import layout
from croupier.features.utc import DAY, HOUR
from croupier.features.workspace import Workspace
from croupier.models.health.symptom import ACT, FINE, TO_WATCH
from croupier.serving.health import examine, told

UNKNOWN = "unknown"
GRAVEST_FIRST = (ACT, UNKNOWN, TO_WATCH, FINE)
STALE = 3 * HOUR  # `monitor` runs each hour: two of its runs are missing by then
NO_PAGES = dict.fromkeys(listing_page.KINDS, "")


@dataclass(frozen=True, kw_only=True)
class Overview:
    """An app in a sentence. `level`: fine | watch | act | unknown; `failed`: its health could not be computed, and the
    sentence says why; `at`: the end of the hour that was judged, UTC µs; `pages`: by kind, the name of the newest page
    below `reports/`, "" where there is none."""

    app: str
    level: str
    sentence: str
    failed: bool = False
    at: int | None = None
    pages: Mapping[str, str] = field(default_factory=lambda: NO_PAGES)

    def to_dict(self) -> dict[str, Any]:
        """The overview as JSON."""
        return dict(vars(self))


def apps() -> list[str]:
    """Returns the names of the declared apps of this installation, sorted."""
    return sorted(path.parent.name for path in Settings().var.absolute().glob(layout.DECLARED_APPS))


def kept(names: Sequence[str]) -> list[Overview]:
    """Returns what `monitor` last said of each app, the gravest first. Fast: nothing is computed."""
    return _sorted([_or_why(_kept, name) for name in names])


def examined(names: Sequence[str]) -> list[Overview]:
    """Examines each app now, and keeps its page and what was said in its store, as `monitor` does. Returns the
    overviews, the gravest first."""
    return _sorted([_or_why(_examined, name) for name in names])


def summary(found: Sequence[Overview]) -> str:
    """'3 apps: 1 needs you; 1 not known; 1 well'."""
    words = {ACT: "needs you", UNKNOWN: "not known", TO_WATCH: "well, with something to watch", FINE: "well"}
    counts = {level: sum(o.level == level for o in found) for level in GRAVEST_FIRST}
    parts = "; ".join(f"{count} {words[level]}" for level, count in counts.items() if count)
    return f"{len(found)} app{'s' * (len(found) != 1)}: {parts}" if found else "no app is declared"


def exit_code(found: Sequence[Overview]) -> int:
    """2 if an app asks to act or could not be examined, 1 if one is to be watched, else 0."""
    if any(o.level == ACT or o.failed for o in found):
        return 2
    return int(any(o.level == TO_WATCH for o in found))


def as_json(found: Sequence[Overview]) -> dict[str, Any]:
    """{"summary", "apps": the overviews}."""
    return {"summary": summary(found), "apps": [o.to_dict() for o in found]}


def _sorted(found: list[Overview]) -> list[Overview]:
    return sorted(found, key=lambda o: (GRAVEST_FIRST.index(o.level), o.app))


def _or_why(of: Callable[[Workspace], Overview], app: str) -> Overview:
    """The overview; or why there is none. Whatever an app is broken by, the others are shown."""
    try:
        return of(Workspace.known(app))
    except Exception as error:  # noqa: BLE001 - see above; the reason is shown
        why = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        return Overview(
            app=app,
            level=UNKNOWN,
            sentence=f"{app}: its health could not be computed: {why or type(error).__name__}",
            failed=True,
        )


def _examined(w: Workspace) -> Overview:
    return _of(w, examine.keep(w.settings.app))


def _kept(w: Workspace) -> Overview:
    said = examine.last_said(w)
    if said is None:
        why = "not examined yet: the DAG monitor does so each hour, `croupier health` at any time"
        return Overview(app=w.settings.app, level=UNKNOWN, sentence=f"{w.settings.app}: {why}", pages=_pages(w))
    return _of(w, said)


def _of(w: Workspace, said: Mapping[str, Any]) -> Overview:
    app, sentence = w.settings.app, str(said["sentence"])
    level = str(said["level"])
    if level != ACT and not said.get("known", said.get("needed", 0) > 0):
        level = UNKNOWN
    at = int(said["at"]) + HOUR if "at" in said else None
    old = _old(w, at, said.get("examined", at)) if level != UNKNOWN else ""
    if old:
        level, sentence = UNKNOWN, f"{app}: {old} It then said: {sentence}"
    return Overview(app=app, level=level, sentence=sentence, at=at, pages=_pages(w))


def _old(w: Workspace, at: int | None, examined_at: int | None) -> str:
    """Why a verdict is not believed any more; "" where it is."""
    now = clock.now_us()
    if at is None or examined_at is None or clock.elapsed(examined_at, now=now) > STALE:
        since = told.time_text(examined_at) if examined_at is not None else "an unknown time"
        return f"not examined since {since}, is the DAG monitor paused?"
    if now - at - window_us(w.spec.reward) > DAY:
        why = "is `croupier turn` (or the DAG build_features) stopped, or is there no traffic?"
        return f"no hour is joined since {told.time_text(at)}, {why}"
    return ""


def _pages(w: Workspace) -> dict[str, str]:
    return listing_page.newest(w.store.list(layout.REPORTS))
