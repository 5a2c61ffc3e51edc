"""Small charts as inline SVG, for every page: no script, no image file, readable offline, light and dark by page.css.

lines   series over equal steps of time       paths   series over a number        stack   shares that add up to 1
heat    a row of cells a name                 bars    counts by class             scatter found against expected

Values may be None where there is nothing. Every chart says in `label` what it shows, for those who do not see it.
Series differ by their dashes, too, not by colour alone; labels of an axis are as fine as it takes to tell them apart.
"""

from collections.abc import Mapping, Sequence
from html import escape
from math import isfinite

from croupier.features.quality.pages.plane import (
    BOTTOM,
    HEIGHT,
    LEFT,
    SERIES,
    WIDTH,
    Plane,
    Values,
    dot,
    ends_of,
    frame,
    numbered,
    rule,
    some,
    svg,
)

Band = tuple[Values, Values]  # lower and upper ends
Points = tuple[Sequence[float], Values]  # xs, ys


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
    low, high = ends_of([*every, limit, *([0.0] if zero else [])])
    plane = Plane(0.0, max(len(ticks) - 1.0, 0.0), low, high)
    parts = [frame(plane, [(float(j), ticks[j]) for j in some(ticks)])]
    for i, (name, values) in enumerate(series.items()):
        parts += _series(plane, i, (xs, values), bands.get(name), dots=dots)
    if all(v is None for values in series.values() for v in values):
        parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT / 2}" text-anchor="middle">no value yet</text>')
    return svg([*parts, rule(plane, limit, "limit")], label, height=HEIGHT) + legend(list(series))


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
    low, high = reach or ends_of([*every, 0.0])
    plane = Plane(min(across), max(across), low, high, BOTTOM + 18)
    parts = [frame(plane, numbered(plane.x0, plane.x1), x)]
    for i, (name, points) in enumerate(series.items()):
        parts += _series(plane, i, points, bands.get(name), dots=False)
    before = low
    for at, value, words in marks:
        late = plane.x(at) > LEFT + 0.75 * (WIDTH - LEFT)
        place = f'x="{plane.x(at) + (-6 if late else 6):.1f}" y="{max(plane.y(max(value, before)) - 6, 11):.1f}"'
        parts.append(dot(0, plane.x(at), plane.y(value)))
        parts.append(f'<text {place} text-anchor="{"end" if late else "start"}">{escape(words)}</text>')
        before = value  # words beside a fall stand above the line that leads to it
    return svg([*parts, rule(plane, 0.0 if low < 0.0 < high else None, "zero")], label) + legend(list(series))


def scatter(points: Sequence[tuple[float, float]], *, label: str, x: str) -> str:
    """Draws points (x, y) that should lie on the dashed diagonal; the axis below is named `x`."""
    low, high = ends_of([v for point in points for v in point] + [0.0])
    plane = Plane(low, high, low, high, BOTTOM + 18)
    ends = plane.text((low, high), (low, high))
    dots = [dot(0, plane.x(a), plane.y(b), 4) for a, b in points]
    return svg(
        [frame(plane, numbered(low, high), x), f'<polyline points="{ends}" class="zero" fill="none"/>', *dots], label
    )


def bars(values: Sequence[tuple[str, float]], *, label: str, x: str) -> str:
    """Draws one bar for each (name, value) from 0 up; the axis below is named `x`."""
    n = max(len(values), 1)
    plane = Plane(-0.5, n - 0.5, *ends_of([0.0, *(v for _, v in values)]), BOTTOM + 18)
    shown = some([name for name, _ in values])
    parts = [frame(plane, [(float(j), values[j][0]) for j in shown], x)]
    wide = 0.86 * (plane.x(1.0) - plane.x(0.0))
    for j, (_, value) in enumerate(values):
        box = f'x="{plane.x(j) - wide / 2:.1f}" y="{plane.y(value):.1f}" width="{wide:.1f}"'
        parts.append(f'<rect {box} height="{plane.y(0.0) - plane.y(value):.1f}" class="dot k0"/>')
    return svg(parts, label)


def stack(series: Mapping[str, Sequence[float]], ticks: Sequence[str], *, label: str) -> str:
    """Draws shares that add up to 1 as layers."""
    xs, base, parts = [float(k) for k in range(len(ticks))], [0.0] * len(ticks), []
    plane = Plane(0.0, max(len(ticks) - 1.0, 0.0), 0.0, 1.0)
    for i, values in enumerate(series.values()):
        top = [b + v for b, v in zip(base, values, strict=True)]
        edge = plane.text([*xs, *xs[::-1]], [*base, *top[::-1]])
        parts.append(f'<polygon points="{edge}" class="layer k{min(i, SERIES)}"/>')
        base = top
    parts.append(frame(plane, [(float(j), ticks[j]) for j in some(ticks)]))
    return svg(parts, label, height=HEIGHT) + legend(list(series), areas=True)


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
    for j in some(ticks, width - left, last=2.0):
        anchor, x = ("end", width) if j and j == n - 1 else ("start", left + j * step)
        parts.append(f'<text x="{x:.1f}" y="{bottom + 15}" text-anchor="{anchor}">{escape(ticks[j])}</text>')
    drawn = svg(parts, label, height=bottom + 22, width=width)
    region = f'<div class="scroll" role="region" aria-label="{escape(label)}" tabindex="0">'
    return f'{region}<div style="min-width:900px">{drawn}</div></div>'


def legend(names: Sequence[str], *, areas: bool = False) -> str:
    """Returns the names, each with a piece of its line or area; nothing where there is only one."""
    items = []
    for i, name in enumerate(names[: SERIES + 1]):
        look = f"k{min(i, SERIES)}"
        line = f'<path d="M0 5H22" class="line {look}"/>'
        piece = f'<rect width="22" height="10" class="layer {look}"/>' if areas else line
        items.append(f'<li><svg viewBox="0 0 22 10" aria-hidden="true">{piece}</svg>{escape(name)}</li>')
    return f'<ul class="legend">{"".join(items)}</ul>' if len(names) > 1 else ""


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
            parts += [dot(i, plane.x(x), plane.y(y)) for x, y in zip(*part, strict=True)]
    return parts


def _whole(xs: Sequence[float], ys: Values) -> list[tuple[list[float], list[float]]]:
    """The stretches without a hole: a line must not lead over where there is nothing."""
    found: list[tuple[list[float], list[float]]] = [([], [])]
    for x, y in zip(xs, ys, strict=True):
        if y is not None and isfinite(y):
            found[-1][0].append(x)
            found[-1][1].append(y)
        elif found[-1][0]:
            found.append(([], []))
    return [part for part in found if part[0]]


def _share(value: float, high: float) -> float:
    return min(max(value / high, 0.0), 1.0)
