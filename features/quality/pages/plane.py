"""The box of a chart: places of numbers in it, its axes with round numbers, and the frame of the SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from math import ceil, floor, isfinite, log10

SERIES = 8  # that have a colour of their own; the rest shares the last one
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 460, 200, 58, 14, 26
LETTER = 7.7  # the width of a letter of 13 px, at most, on average
Values = Sequence[float | None]


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


def levels(low: float, high: float, most: int = 4) -> list[float]:
    """Returns the round numbers from `low` to `high`, in `most` steps at most: multiples of 1, 2 or 5 · 10^k."""
    rough = (high - low) / most
    unit = 10.0 ** floor(log10(rough))
    step = next(m * unit for m in (1.0, 2.0, 5.0, 10.0) if m * unit >= rough * (1 - 1e-9))
    return [k * step for k in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def numbers(values: Sequence[float]) -> list[str]:
    """Returns the numbers with as few digits as tell neighbours apart."""
    gap = min((abs(b - a) for a, b in pairwise(values)), default=abs(values[0]) if values else 1.0) or 1.0
    places = min(max(0, -floor(log10(gap) + 1e-9)), 12)
    places += any(abs(round(v, places) - v) > 1e-3 * gap for v in values)
    return [f"{v + 0.0:,.{places}f}".replace("-", "−") for v in (0.0 if abs(v) < 1e-9 * gap else v for v in values)]


def ends_of(values: Values) -> tuple[float, float]:
    """The ends of an axis that holds all values, at round numbers."""
    shown = [v for v in values if v is not None and isfinite(v)] or [0.0]
    low, high = min(shown), max(shown)
    high = high if high > low else low + 1.0
    inside = levels(low, high)
    step = inside[1] - inside[0] if len(inside) > 1 else high - low
    return min(low, floor(low / step + 1e-9) * step), max(high, ceil(high / step - 1e-9) * step)


def frame(plane: Plane, ticks: Sequence[tuple[float, str]], named: str = "") -> str:
    """The rules and labels of both axes; the one below is `named`."""
    parts, shown = [rule(plane, plane.y0, "rule")], levels(plane.y0, plane.y1)
    for value, text in zip(shown, numbers(shown), strict=True):
        place = f'x="{LEFT - 6}" y="{plane.y(value) + 4:.1f}"'
        parts.append(rule(plane, value, "rule") + f'<text {place} text-anchor="end">{text}</text>')
    for at, text in ticks:
        x, half = plane.x(at), LETTER * len(text) / 2
        anchor = "start" if x < half else "end" if x + half > WIDTH else "middle"
        place = f'x="{x:.1f}" y="{HEIGHT - plane.bottom + 19}"'
        parts.append(f'<text {place} text-anchor="{anchor}">{escape(text)}</text>')
    if named:
        parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 4}" text-anchor="middle">{escape(named)}</text>')
    return "".join(parts)


def numbered(low: float, high: float) -> list[tuple[float, str]]:
    """The round numbers from `low` to `high`, each with its text."""
    places = levels(low, high) if high > low else [low]
    return list(zip(places, numbers(places), strict=True))


def rule(plane: Plane, value: float | None, look: str) -> str:
    """A line across the chart at `value`; "" where that is None."""
    if value is None:
        return ""
    return f'<line x1="{LEFT}" x2="{WIDTH}" y1="{plane.y(value):.1f}" y2="{plane.y(value):.1f}" class="{look}"/>'


def dot(i: int, x: float, y: float, radius: float = 2.5) -> str:
    """A point of the `i`-th series."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" class="dot k{min(i, SERIES)}"/>'


def some(ticks: Sequence[str], width: int = WIDTH - LEFT, *, last: float = 1.5) -> list[int]:
    """Positions of as many labels, evenly spread, as have room beside each other. The last label ends where its place
    is, so that it needs `last` widths from the one before: 1.5 if that stands over its place, 2 if it begins there."""
    n, label = len(ticks), LETTER * max(map(len, ticks), default=1)
    most = min(n, int(width / (label + 16)))
    spread = ([round(k * (n - 1) / (m - 1)) for k in range(m)] for m in range(most, 2, -1))
    return next(
        (at for at in spread if _apart(at, width / (n - 1), label, last)), [0, n - 1] if n > 1 else list(range(n))
    )


def _apart(at: Sequence[int], step: float, label: float, last: float) -> bool:
    gaps = [(b - a) * step for a, b in pairwise(at)]
    return min(gaps) > label and gaps[-1] > last * label


def svg(parts: Sequence[str], label: str, *, height: float = HEIGHT, width: int = WIDTH) -> str:
    """The chart as SVG; `label` says what it shows."""
    said = f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}"'
    return f'<svg class="chart" {said}>{"".join(parts)}</svg>'
