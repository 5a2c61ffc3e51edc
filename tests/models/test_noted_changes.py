"""What trainings make of a change that health noted: rows left out or counted less, kept and the same when done again."""

from types import SimpleNamespace

import numpy as np
import pytest

from croupier.features.store.storage import open_store
from croupier.features.utc import DAY, SECOND
from croupier.models import changes
from croupier.models.adaptive_window import Choice
from croupier.models.health import noted
from croupier.models.health.noted import NotedChange
from croupier.models.simulation.health.linear_failure import _straight, logistic, played
from croupier.models.training import Rows, _rows

T0, ROWS = 1_790_000_000_000_000, 1000
LOG = played(logistic(np.random.default_rng(0), _straight), ROWS, 0)
LOG.at[:] = T0 + np.arange(ROWS) * SECOND
HALF = T0 + ROWS // 2 * SECOND
END = T0 + ROWS * SECOND


class Encoded:
    """Features of one chunk."""

    def __init__(self):
        self.meta = {"features": "k1"}

    def chunks(self):
        return [LOG]


@pytest.fixture
def shop(tmp_path):
    """Workspaces by what app.toml asks for, over one store."""
    store = open_store(str(tmp_path))

    def of(on_change, *, min_rows=200):
        spec = SimpleNamespace(
            training=SimpleNamespace(adapt=False, min_rows=min_rows), health=SimpleNamespace(on_change=on_change)
        )
        return SimpleNamespace(store=store, spec=spec, settings=SimpleNamespace(app="shop"))

    return of


def change(since, action):
    weight = 0.25 if action == "discount" else 0.0
    return NotedChange(
        since=since, noted=END, about="tv", cause="taste_flip", says="tv turned", action=action, weight=weight
    )


def seen(monkeypatch, *found):
    monkeypatch.setattr(noted, "every", lambda store: list(found))


def test_reset_leaves_out_what_came_before(shop, monkeypatch, capsys):
    seen(monkeypatch, change(HALF, "reset_head"))
    found = _rows(shop("reset_head"), Encoded(), END)
    (chunk,) = found
    assert (len(chunk), chunk.at.min()) == (ROWS // 2, HALF)
    assert (chunk.weight == 1).all()
    assert "shop: health saw the users change on 2026-" in capsys.readouterr().out


def test_discount_counts_it_less(shop, monkeypatch, capsys):
    seen(monkeypatch, change(HALF, "discount"))
    (chunk,) = _rows(shop("discount"), Encoded(), END)
    assert len(chunk) == ROWS
    np.testing.assert_array_equal(chunk.weight, np.where(chunk.at < HALF, 0.25, 1.0))
    assert (LOG.weight == 1).all(), "the features are as they were"
    assert "older rows count 0.25 times" in capsys.readouterr().out


def test_an_alarm_alone_changes_no_training(shop, monkeypatch):
    seen(monkeypatch, change(HALF, "reset_head"))
    features = Encoded()
    assert _rows(shop("alarm"), features, END) == Rows(features, before=END)
    assert changes.change(shop("alarm"), Encoded(), END) == changes.NONE


def test_a_training_waits_for_rows_and_looks_at_none_of_the_future(shop, monkeypatch):
    seen(monkeypatch, change(END - 100 * SECOND, "reset_head"))
    assert changes.change(shop("reset_head"), Encoded(), END) == changes.NONE
    seen(monkeypatch, change(HALF, "reset_head"))
    assert changes.change(shop("reset_head"), Encoded(), HALF - SECOND) == changes.NONE


def test_done_again_it_is_the_same_training(shop, monkeypatch):
    """A change that is noted later is none that this training knew."""
    w = shop("reset_head")
    seen(monkeypatch, change(HALF, "reset_head"))
    first = changes.change(w, Encoded(), END)
    assert first == Choice(since=HALF, better=0.0, changed=HALF)
    seen(monkeypatch, change(HALF, "reset_head"), change(HALF + 100 * SECOND, "discount"))
    assert changes.change(w, Encoded(), END) == first
    assert changes.kept(w, "k1", END) == first


@pytest.mark.parametrize(("until", "missed"), [(HALF, True), (HALF + 100 * SECOND, True), (END - 100 * SECOND, False)])
def test_a_champion_that_has_not_learnt_it_is_renewed(until, missed):
    for choice in (Choice(since=HALF, better=0.0, changed=HALF), Choice(since=0, better=0.0, changed=HALF, weight=0.1)):
        assert changes.missed(choice, until, END) == missed
    assert not changes.missed(changes.NONE, T0, END + DAY)
