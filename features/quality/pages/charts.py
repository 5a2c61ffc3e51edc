"""Small charts as inline SVG, for every page: no script, no image file, readable offline, light and dark by page.css.

lines   series over equal steps of time       paths   series over a number        stack   shares that add up to 1
heat    a row of cells a name                 bars    counts by class             scatter found against expected

Values may be None where there is nothing. Every chart says in `label` what it shows, for those who do not see it.
Series differ by their dashes, too, not by colour alone; labels of an axis are as fine as it takes to tell them apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

SERIES = 8  # that have a colour of their own; the rest shares the last one
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 460, 200, 58, 14, 26
Values = Sequence[float | None]
Band = tuple[Values, Values]  # lower and upper ends
Points = tuple[Sequence[float], Values]  # xs, ys


@dataclass(frozen=True)
class Plane:
    """The box of a chart: numbers from (x0, y0) to (x1, y1) have a place in it."""

    x0: float
    x1: float
    y0: float
    y1: float
    bottom: int = BOTTOM

    def x(self, value: float) -> float:
        """The place from the left."""
        share = (value - self.x0) / (self.x1 - self.x0) if self.x1 > self.x0 else 0.5
        return LEFT + (WIDTH - 8 - LEFT) * share

    def y(self, value: float) -> float:
        """The place from the top, inside the box."""
        share = (value - self.y0) / (self.y1 - self.y0)
        return TOP + (HEIGHT - TOP - self.bottom) * (1 - min(max(share, 0.0), 1.0))

    def text(self, xs: Sequence[float], ys: Values) -> str:
        """The places of points, as SVG's `points`."""
        return " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in zip(xs, ys, strict=True) if y is not None)


def lines(
    series: Mapping[str, Values],
    ticks: Sequence[str],
    *,
    label: str,
    bands: Mapping[str, Band] | None = None,
    limit: float | None = None,
    zero: bool = True,
    dots: bool = True,
) -> str:
    """Draws one line a series over equal steps, with optional bands and a dashed limit; `zero`: the axis starts so."""
    bands, xs = bands or {}, [float(k) for k in range(len(ticks))]
    every = [v for values in series.values() for v in values] + [v for b in bands.values() for part in b for v in part]
    low, high = _reach([*every, limit, *([0.0] if zero else [])])
    plane = Plane(0.0, max(len(ticks) - 1.0, 0.0), low, high)
    parts = [_frame(plane, [(float(j), ticks[j]) for j in _some(len(ticks))])]
    for i, (name, values) in enumerate(series.items()):
        parts += _series(plane, i, (xs, values), bands.get(name), dots=dots)
    return _svg([*parts, _rule(plane, limit, "limit")], label, height=HEIGHT) + legend(list(series))


def paths(
    series: Mapping[str, Points],
    *,
    label: str,
    x: str,
    bands: Mapping[str, Band] | None = None,
    reach: tuple[float, float] | None = None,
    marks: Sequence[tuple[float, float, str]] = (),
) -> str:
    """Draws one line a series over numbers on an axis named `x`. `reach`: the ends of the other axis, where what lies
    beyond is cut; `marks`: (x, y, words) to write beside a point."""
    bands = bands or {}
    every = [v for _, ys in series.values() for v in ys] + [v for b in bands.values() for part in b for v in part]
    across = [v for xs, _ in series.values() for v in xs] or [0.0, 1.0]
    low, high = reach or _reach([*every, 0.0])
    plane = Plane(min(across), max(across), low, high, BOTTOM + 18)
    parts = [_frame(plane, _numbered(plane.x0, plane.x1), x)]
    for i, (name, points) in enumerate(series.items()):
        parts += _series(plane, i, points, bands.get(name), dots=False)
    for at, value, words in marks:
        late = plane.x(at) > LEFT + 0.75 * (WIDTH - LEFT)
        place = f'x="{plane.x(at) + (-6 if late else 6):.1f}" y="{max(plane.y(value) - 6, 11):.1f}"'
        parts.append(_dot(0, plane.x(at), plane.y(value)))
        parts.append(f'<text {place} text-anchor="{"end" if late else "start"}">{escape(words)}</text>')
    return _svg([*parts, _rule(plane, 0.0 if low < 0.0 < high else None, "zero")], label) + legend(list(series))


def scatter(points: Sequence[tuple[float, float]], *, label: str, x: str) -> str:
    """Draws points (x, y) that should lie on the dashed diagonal; the axis below is named `x`."""
    low, high = _reach([v for point in points for v in point] + [0.0])
    plane = Plane(low, high, low, high, BOTTOM + 18)
    ends = plane.text((low, high), (low, high))
    dots = [_dot(0, plane.x(a), plane.y(b), 4) for a, b in points]
    frame = _frame(plane, _numbered(low, high), x)
    return _svg([frame, f'<polyline points="{ends}" class="zero" fill="none"/>', *dots], label)


def bars(values: Sequence[tuple[str, float]], *, label: str, x: str) -> str:
    """Draws one bar for each (name, value) from 0 up; the axis below is named `x`."""
    n = max(len(values), 1)
    plane = Plane(-0.5, n - 0.5, *_reach([0.0, *(v for _, v in values)]), BOTTOM + 18)
    shown = _some(len(values))
    parts = [_frame(plane, [(float(j), values[j][0]) for j in shown], x, middle=True)]
    wide = 0.86 * (plane.x(1.0) - plane.x(0.0))
    for j, (_, value) in enumerate(values):
        box = f'x="{plane.x(j) - wide / 2:.1f}" y="{plane.y(value):.1f}" width="{wide:.1f}"'
        parts.append(f'<rect {box} height="{plane.y(0.0) - plane.y(value):.1f}" class="dot k0"/>')
    return _svg(parts, label)


def stack(series: Mapping[str, Sequence[float]], ticks: Sequence[str], *, label: str) -> str:
    """Draws shares that add up to 1 as layers."""
    xs, base, parts = [float(k) for k in range(len(ticks))], [0.0] * len(ticks), []
    plane = Plane(0.0, max(len(ticks) - 1.0, 0.0), 0.0, 1.0)
    for i, values in enumerate(series.values()):
        top = [b + v for b, v in zip(base, values, strict=True)]
        edge = plane.text([*xs, *xs[::-1]], [*base, *top[::-1]])
        parts.append(f'<polygon points="{edge}" class="layer k{min(i, SERIES)}"/>')
        base = top
    frame = _frame(plane, [(float(j), ticks[j]) for j in _some(len(ticks))])
    return _svg([*parts, frame], label, height=HEIGHT) + legend(list(series), areas=True)


def heat(rows: Mapping[str, Values], ticks: Sequence[str], *, high: float, label: str) -> str:
    """Draws one row of cells a name: the paper's colour at 0, red at `high` and beyond, grey where there is nothing."""
    left, cell, width, n = 230, 22, 960, max(len(ticks), 1)
    step, parts = (width - left) / n, []
    for i, (name, values) in enumerate(rows.items()):
        y = i * cell
        parts.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(name[:32])}</text>')
        for j, value in enumerate(values):
            look = 'class="cell none"' if value is None else f'class="cell" fill-opacity="{_share(value, high):.3f}"'
            tip = f"<title>{escape(name)}, {escape(ticks[j])}: {'none' if value is None else f'{value:.3f}'}</title>"
            box = f'x="{left + j * step:.1f}" y="{y}" width="{max(step - 1, 0.5):.1f}" height="{cell - 2}"'
            parts.append(f"<rect {box} {look}>{tip}</rect>")
    bottom = len(rows) * cell
    for j in _some(n):
        anchor, x = ("end", width) if j and j == n - 1 else ("start", left + j * step)
        parts.append(f'<text x="{x:.1f}" y="{bottom + 15}" text-anchor="{anchor}">{escape(ticks[j])}</text>')
    drawn = _svg(parts, label, height=bottom + 22, width=width)
    frame = f'<div class="scroll" role="region" aria-label="{escape(label)}" tabindex="0">'
    return f'{frame}<div style="min-width:900px">{drawn}</div></div>'


def legend(names: Sequence[str], *, areas: bool = False) -> str:
    """Returns the names, each with a piece of its line or area; nothing where there is only one."""
    items = []
    for i, name in enumerate(names[: SERIES + 1]):
        look = f"k{min(i, SERIES)}"
        line = f'<path d="M0 5H22" class="line {look}"/>'
        piece = f'<rect width="22" height="10" class="layer {look}"/>' if areas else line
        items.append(f'<li><svg viewBox="0 0 22 10" aria-hidden="true">{piece}</svg>{escape(name)}</li>')
    return f'<ul class="legend">{"".join(items)}</ul>' if len(names) > 1 else ""


def numbers(values: Sequence[float]) -> list[str]:
    """Returns the numbers with as few digits, two at least, as tell neighbours apart."""
    for digits in range(2, 16):
        texts = [f"{v:,.0f}" if abs(v) >= 1000 and digits < 4 else f"{v:.{digits}g}" for v in values]
        if all(a != b for a, b in pairwise(texts)):
            break
    return texts


def spoken(values: Values) -> str:
    """Returns what a line shows in words: 'from 1 to 9, last 4'."""
    known = [v for v in values if v is not None]
    return f"from {min(known):.3g} to {max(known):.3g}, last {known[-1]:.3g}" if known else "nothing"


def _series(
    plane: Plane, i: int, points: tuple[Sequence[float], Values], band: Band | None, *, dots: bool
) -> list[str]:
    (xs, ys), look, parts = points, f"k{min(i, SERIES)}", []
    if band:
        low, high = (list(zip(xs, part, strict=True)) for part in band)
        edge = [*low, *high[::-1]]
        parts.append(
            f'<polygon points="{plane.text([x for x, _ in edge], [y for _, y in edge])}" class="area {look}"/>'
        )
    for part in _whole(xs, ys):
        parts.append(f'<polyline points="{plane.text(*part)}" class="line {look}"/>')
        if dots or len(part[0]) == 1:
            parts += [_dot(i, plane.x(x), plane.y(y)) for x, y in zip(*part, strict=True)]
    return parts


def _whole(xs: Sequence[float], ys: Values) -> list[tuple[list[float], list[float]]]:
    """The stretches without a hole: a line must not lead over where there is nothing."""
    found: list[tuple[list[float], list[float]]] = [([], [])]
    for x, y in zip(xs, ys, strict=True):
        if y is None and found[-1][0]:
            found.append(([], []))
        elif y is not None:
            found[-1][0].append(x)
            found[-1][1].append(y)
    return [part for part in found if part[0]]


def _reach(values: Values) -> tuple[float, float]:
    shown = [v for v in values if v is not None] or [0.0]
    low, high = min(shown), max(shown)
    return low, high if high > low else low + 1.0


def _frame(plane: Plane, ticks: Sequence[tuple[float, str]], named: str = "", *, middle: bool = False) -> str:
    levels = [plane.y0 + share * (plane.y1 - plane.y0) for share in (0.0, 0.5, 1.0)]
    parts = []
    for value, text in zip(levels, numbers(levels), strict=True):
        place = f'x="{LEFT - 6}" y="{plane.y(value) + 4:.1f}"'
        parts.append(_rule(plane, value, "rule") + f'<text {place} text-anchor="end">{text}</text>')
    for k, (at, text) in enumerate(ticks):
        anchor = "middle" if middle or 0 < k < len(ticks) - 1 else "end" if k else "start"
        place = f'x="{plane.x(at):.1f}" y="{HEIGHT - plane.bottom + 19}"'
        parts.append(f'<text {place} text-anchor="{anchor}">{escape(text)}</text>')
    if named:
        parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 4}" text-anchor="middle">{escape(named)}</text>')
    return "".join(parts)


def _numbered(low: float, high: float) -> list[tuple[float, str]]:
    places = [low + share * (high - low) for share in (0.0, 0.5, 1.0)] if high > low else [low]
    return list(zip(places, numbers(places), strict=True))


def _rule(plane: Plane, value: float | None, look: str) -> str:
    if value is None:
        return ""
    return f'<line x1="{LEFT}" x2="{WIDTH}" y1="{plane.y(value):.1f}" y2="{plane.y(value):.1f}" class="{look}"/>'


def _dot(i: int, x: float, y: float, radius: float = 2.5) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" class="dot k{min(i, SERIES)}"/>'


def _some(n: int) -> list[int]:
    """Positions of at most four labels."""
    return sorted({round(k * (n - 1) / 3) for k in range(4)}) if n > 4 else list(range(n))


def _share(value: float, high: float) -> float:
    return min(max(value / high, 0.0), 1.0)


def _svg(parts: Sequence[str], label: str, *, height: float = HEIGHT, width: int = WIDTH) -> str:
    said = f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}"'
    return f'<svg class="chart" {said}>{"".join(parts)}</svg>'
