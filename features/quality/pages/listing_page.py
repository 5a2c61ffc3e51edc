"""Pages that list pages: an app's reports, newest first, by kind. `newest` is what the landing page links of them, and
`linked` puts the same links into each page as it is shown: a page that lies in the store would know only older ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from croupier.features.quality.pages.page import render
from croupier.features.store import layout

KINDS = {"health": "Is it well", "gate": "The gate's verdicts, by key of the features",
         "rollout": "Rollouts, by release and step", "quality": "Data quality, by interval"}  # fmt: skip
SHORT = {"health": "Health", "gate": "Gate", "rollout": "Rollout", "quality": "Data quality"}
MARK = "<!-- pages -->"  # in page.html.j2: where links to an app's other pages go
MOST = 200  # of a kind; older ones are counted
NONE_YET = "No page yet: `croupier turn`, or in Airflow build_features, train_and_gate and watch_rollout, writes them."
Link = tuple[str, str]  # address, text


@dataclass(frozen=True, kw_only=True)
class Group:
    """Links under one heading, and how many older ones are left out."""

    title: str = ""
    links: Sequence[Link]
    older: int = 0


def reports(app: str, keys: Sequence[str]) -> str:
    """The page of what an app's tasks and commands kept under `reports/`: a relative link to each page among `keys`."""
    found = _pages(keys)
    kinds = dict.fromkeys([*KINDS, *sorted({path.split("/")[0] for path in found})])
    groups = [_kind(kind, [p for p in found if p.split("/")[0] == kind]) for kind in kinds]
    kept = [group for group in groups if group.links]
    return listing(f"{app}: reports", kept, nothing=NONE_YET, up="../", above="All apps")


def newest(keys: Sequence[str]) -> dict[str, str]:
    """Returns the name below `reports/` of the newest page of each of the KINDS; "" where there is none yet."""
    found = [path for path in _pages(keys) if len(path.split("/")) < 4]  # not the charts beside a check of the data
    return {kind: max((p for p in found if p.split("/")[0] == kind), default="") for kind in KINDS}


def linked(body: bytes, name: str, pages: Mapping[str, str], *, above: str) -> bytes:
    """Returns the page `name` (below `reports/`) with links to the app's newest `pages` (by kind, see `newest`), and
    to `above`, the address of the list of all apps as seen from the folder of the app's pages. A page that has no
    place for links stays as it is."""
    up = "../" * name.count("/")
    links = [(up + quote(pages[kind]), text, pages[kind] == name) for kind, text in SHORT.items() if pages[kind]]
    nav = render(__package__, "links.html.j2", links=links, above=up + above)
    return body.replace(MARK.encode(), nav.encode(), 1)


def _pages(keys: Sequence[str]) -> list[str]:
    return [layout.report_name(key) for key in keys if key.endswith(".html") and f"/{layout.DATA_DOCS}/" not in key]


def listing(heading: str, groups: Sequence[Group], *, nothing: str, up: str = "", above: str = "Overview") -> str:
    """A page of links; `up` is the address of the page above it, which is named `above`."""
    return render(
        __package__,
        "listing_page.html.j2",
        title=heading,
        heading=heading,
        groups=groups,
        nothing=nothing,
        up=up,
        above=above,
    )


def _kind(kind: str, paths: Sequence[str]) -> Group:
    newest = sorted(paths, reverse=True)
    links = [(quote(path), _named(path)) for path in newest[:MOST]]
    return Group(title=KINDS.get(kind, kind), links=links, older=max(0, len(newest) - MOST))


def _named(path: str) -> str:
    """quality/20260921T0000-…/health/index.html → 20260921T0000-… health"""
    inside = path.removesuffix(f"/{layout.PAGE}").removesuffix(".html").split("/")
    return " ".join(inside[1:] or inside)
