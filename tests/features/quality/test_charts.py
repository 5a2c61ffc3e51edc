"""Charts say what they show, draw it at its place, and write axes with round numbers that differ and have room."""

import re
from importlib.resources import files
from itertools import pairwise

import pytest

from croupier.features.quality.pages import charts, plane


def texts(drawn):
    """(x, y, anchor, words) of every text."""
    found = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)">([^<]*)</text>', drawn)
    return [(float(x), float(y), anchor, words) for x, y, anchor, words in found]


@pytest.mark.parametrize(("low", "high", "expected"), [
    (0, 0.43, ["0.0", "0.2", "0.4", "0.6"]), (0, 1, ["0.0", "0.5", "1.0"]), (0, 550, ["0", "200", "400", "600"]),
    (-0.82, 0.82, ["−1.0", "−0.5", "0.0", "0.5", "1.0"]), (0, 3e6, ["0", "1,000,000", "2,000,000", "3,000,000"]),
    (0.13, 0.1301, ["0.13000", "0.13005", "0.13010"]), (7, 7, ["7.0", "7.5", "8.0"]),
])  # fmt: skip
def test_an_axis_holds_all_values_and_has_round_numbers_that_differ(low, high, expected):
    ends = plane.ends_of([low, None, high, float("nan")])
    assert ends[0] <= low <= high <= ends[1]
    assert plane.numbers(plane.levels(*ends)) == expected


def test_a_number_alone_is_not_rounded_away():
    assert [plane.numbers([v]) for v in (0.25, 134.0, 0.0)] == [["0.25"], ["134"], ["0"]]


@pytest.mark.parametrize("ticks", [
    [f"{k:02d}:00" for k in range(24)], [f"{d:02d} Sep {h:02d}:00" for d in range(1, 15) for h in range(24)], ["14:00"],
])  # fmt: skip
def test_labels_of_time_stand_beside_each_other(ticks):
    drawn = charts.lines({"a": [float(k % 5) for k in range(len(ticks))]}, ticks, label="a")
    spans = []
    for x, _, anchor, words in (t for t in texts(drawn) if t[3] in ticks):
        wide = plane.LETTER * len(words)
        left = {"start": x, "middle": x - wide / 2, "end": x - wide}[anchor]
        spans.append((left, left + wide))
    assert len(spans) >= min(len(ticks), 2)
    assert all(0 <= left < right <= plane.WIDTH for left, right in spans)
    assert all(before[1] < after[0] for before, after in pairwise(spans))


def test_a_line_stands_where_its_numbers_are_and_leads_over_no_hole():
    drawn = charts.lines({"a": [0.0, 1.0, None, 2.0, float("nan"), 1.0]}, list("uvwxyz"), label="what it shows")
    lines = re.findall(r'<polyline points="([^"]*)" class="line k0"', drawn)
    box = plane.Plane(0.0, 5.0, 0.0, 2.0)
    assert lines == [box.text([0, 1], [0, 1]), box.text([3], [2]), box.text([5], [1])]
    assert box.text([0, 5], [0, 2]) == f"58.0,{200 - 26:.1f} {460 - 8:.1f},14.0"
    assert '<svg class="chart" viewBox="0 0 460 200" role="img" aria-label="what it shows">' in drawn


def test_bands_cut_what_lies_beyond_the_reach_and_marks_stand_above_a_fall():
    drawn = charts.paths({"s": ([0.0, 1.0], [50.0, 0.0])}, bands={"s": ([-9.0, 0.0], [500.0, 100.0])}, label="s", x="t",
                         reach=(0.0, 100.0), marks=[(0.0, 50.0, "half"), (1.0, 0.0, "gone")])  # fmt: skip
    box = plane.Plane(0.0, 1.0, 0.0, 100.0, plane.BOTTOM + 18)
    assert f'<polygon points="{box.text([0, 1, 1, 0], [0, 0, 100, 100])}" class="area k0"/>' in drawn
    places = {words: (y, anchor) for _, y, anchor, words in texts(drawn)}
    assert places["half"] == (pytest.approx(box.y(50) - 6, abs=0.1), "start")
    assert places["gone"] == (pytest.approx(box.y(50) - 6, abs=0.1), "end")


def test_bars_and_points_have_the_size_and_the_place_of_their_numbers():
    drawn = charts.bars([("1", 10.0), ("2", 40.0)], label="b", x="weight")
    heights = [float(h) for h in re.findall(r'height="([\d.]+)" class="dot', drawn)]
    assert heights[1] == pytest.approx(4 * heights[0], abs=0.2)
    points = charts.scatter([(0.5, 0.5), (0.5, 1.0)], label="p", x="expected")
    found = re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', points)
    box = plane.Plane(0.0, 1.0, 0.0, 1.0, plane.BOTTOM + 18)
    assert found == [(f"{box.x(0.5):.1f}", f"{box.y(0.5):.1f}"), (f"{box.x(0.5):.1f}", f"{box.y(1.0):.1f}")]


def test_series_differ_by_more_than_colour_and_names_are_escaped():
    style = files(plane.__package__).joinpath("page.css").read_text()
    dashes = re.findall(r"\.line\.k[1-7]\{stroke-dasharray:([^}]*)\}", style)
    assert len(dashes) == len(set(dashes)) == plane.SERIES - 1
    drawn = charts.lines({"<b>": [1.0], "c": [2.0]}, ["x"], label='says "so" <b>')
    assert "<b>" not in drawn
    assert drawn.count("&lt;b&gt;") == 2
    assert "&quot;so&quot;" in drawn


def test_nothing_is_said_to_be_nothing():
    assert "no value yet" in charts.lines({"a": [None, None]}, ["x", "y"], label="a")
    assert charts.spoken([None]) == "nothing"
    assert charts.spoken([1.0, None, 9.0, 4.0]) == "from 1 to 9, last 4"


@pytest.mark.parametrize("label", ["01:00", "30 Nov 01:00", "30 Nov 01:00:30"])
@pytest.mark.parametrize(("width", "last"), [(plane.WIDTH - plane.LEFT, 1.5), (730, 2.0)])
def test_labels_of_an_axis_do_not_touch_each_other(label, width, last):
    """Each is as wide as its letters; the last one ends at its place, the others stand over theirs, or begin there."""
    wide = plane.LETTER * len(label)
    for n in range(1, 400):
        at = plane.some([label] * n, width, last=last)
        assert {0, n - 1} <= set(at)
        gaps = [(b - a) * width / (n - 1) for a, b in pairwise(at)]
        assert len(at) <= 2 or (min(gaps) > wide and gaps[-1] > last * wide), (n, at)
    assert len(plane.some([label] * 300, width, last=last)) > 2
