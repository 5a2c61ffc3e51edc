"""Small charts as inline SVG: no script, no image file, readable offline. Values may be None where there is nothing."""

from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#1f5fa8", "#d1780a", "#177245", "#8a3ffc", "#b3261e", "#0e8a8a", "#7a5c00", "#c2378b")
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 500, 200, 48, 14, 24
Values = Sequence[float | None]


def lines(
    series: Mapping[str, Values],
    ticks: Sequence[str],
    *,
    bands: Mapping[str, tuple[Values, Values]] | None = None,
    limit: float | None = None,
    zero: bool = True,
    label: str = "",
    dots: bool = True,
) -> str:
    """Draws one line a series over equal steps, with optional bands (low, high) and a dashed limit. `label` says to
    those who do not see it what it shows."""
    bands = bands or {}
    every = [v for values in series.values() for v in values] + [v for b in bands.values() for part in b for v in part]
    shown = [v for v in (*every, limit) if v is not None]
    low, high = min([0.0, *shown] if zero else shown, default=0.0), max(shown, default=0.0)
    high = high if high > low else low + 1.0
    n = len(ticks)
    parts = [_frame(ticks, low, high)]
    for i, (name, values) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        if name in bands:
            edge = _points(bands[name][0], n, low, high) + _points(bands[name][1], n, low, high)[::-1]
            parts.append(f'<polygon points="{_text(edge)}" fill="{colour}" opacity=".15"/>')
        path = _points(values, n, low, high)
        parts.append(f'<polyline points="{_text(path)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if dots:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in path]
    if limit is not None:
        y = _y(limit, low, high)
        parts.append(_rule(y, 'stroke="#b3261e" stroke-dasharray="5 4"'))
    return _svg(parts, HEIGHT, label=label) + legend(list(series))


def stack(series: Mapping[str, Sequence[float]], ticks: Sequence[str]) -> str:
    """Shares that add up to 1, as layers."""
    n, base, parts = len(ticks), [0.0] * len(ticks), []
    for i, values in enumerate(series.values()):
        top = [b + v for b, v in zip(base, values, strict=True)]
        edge = _points(base, n, 0, 1) + _points(top, n, 0, 1)[::-1]
        colour = COLOURS[i % len(COLOURS)] if i < len(COLOURS) else "#b9c2cc"
        parts.append(f'<polygon points="{_text(edge)}" fill="{colour}" opacity=".8"/>')
        base = top
    return _svg([*parts, _frame(ticks, 0, 1)], HEIGHT) + legend(list(series))


def heat(rows: Mapping[str, Values], ticks: Sequence[str], *, high: float) -> str:
    """Draws one row of cells a name; white at 0, dark at `high` and beyond, grey where there is nothing."""
    left, cell, n = 210, 20, max(len(ticks), 1)
    step, parts = (WIDTH * 2 - left) / n, []
    for i, (name, values) in enumerate(rows.items()):
        y = i * cell
        parts.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end" class="t">{escape(name[:32])}</text>')
        for j, value in enumerate(values):
            fill = "#eceff2" if value is None else f"rgba(179,38,30,{min(max(value / high, 0), 1):.3f})"
            tip = f"<title>{escape(name)}, {escape(ticks[j])}: {'none' if value is None else f'{value:.3f}'}</title>"
            x, width = left + j * step, max(step - 1, 0.5)
            parts.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{cell - 2}" fill="{fill}" '
                f'stroke="#e3e8ed" stroke-width=".5">{tip}</rect>'
            )
    bottom = len(rows) * cell
    for j in _some(n):
        anchor, x = ("end", 2 * WIDTH) if j and j == n - 1 else ("start", left + j * step)
        label = f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="{anchor}" class="t">{escape(ticks[j])}</text>'
        parts.append(label)
    return f'<div class="scroll"><div style="min-width:560px">{_svg(parts, bottom + 20, width=WIDTH * 2)}</div></div>'


def legend(names: Sequence[str]) -> str:
    """Returns the names in their colours; nothing where there is only one."""
    dots = [
        f'<span style="color:{COLOURS[i] if i < len(COLOURS) else "#b9c2cc"}">■</span> {escape(name)}'
        for i, name in enumerate(names[: len(COLOURS) + 1])
    ]
    return f'<div class="dim legend">{" &ensp; ".join(dots)}</div>' if len(names) > 1 else ""


def _frame(ticks: Sequence[str], low: float, high: float) -> str:
    parts = []
    for share in (0.0, 0.5, 1.0):
        value = low + share * (high - low)
        y = _y(value, low, high)
        label = f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" class="t">{value:.3g}</text>'
        parts.append(_rule(y, 'stroke="#e3e8ed"') + label)
    for j in _some(len(ticks)):
        anchor = "start" if j == 0 else "end" if j == len(ticks) - 1 else "middle"
        parts.append(
            f'<text x="{_x(j, len(ticks)):.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}" class="t">'
            f"{escape(ticks[j])}</text>"
        )
    return "".join(parts)


def _rule(y: float, stroke: str) -> str:
    return f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}" {stroke}/>'


def _some(n: int) -> list[int]:
    """Positions of at most five labels."""
    return sorted({round(k * (n - 1) / 4) for k in range(5)}) if n > 5 else list(range(n))


def _points(values: Values, n: int, low: float, high: float) -> list[tuple[float, float]]:
    return [(_x(j, n), _y(v, low, high)) for j, v in enumerate(values) if v is not None]


def _x(j: int, n: int) -> float:
    return LEFT + (WIDTH - 6 - LEFT) * (j / (n - 1) if n > 1 else 0.5)


def _y(value: float, low: float, high: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low))


def _text(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _svg(parts: Sequence[str], height: float, width: int = WIDTH, label: str = "") -> str:
    style = "<style>.t{font:11px system-ui,sans-serif;fill:#5b6876}</style>"
    said = f' aria-label="{escape(label)}"' if label else ""
    return f'<svg viewBox="0 0 {width} {height}" role="img"{said} style="width:100%">{style}{"".join(parts)}</svg>'
