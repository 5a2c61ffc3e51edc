"""What a reader sees: one row for what several watches say, figures with their unit, commands as code, an app without hours."""

from dataclasses import replace

import numpy as np
import pytest

from croupier.features.quality.pages.page import code
from croupier.models.health.diagnosis import CAUSES, diagnose
from croupier.models.health.history import History
from croupier.models.health.symptom import Symptom
from croupier.serving.health import verdict_page
from croupier.serving.health.examine import Examined
from croupier.serving.health.rows import UNITS, alike, figures, watches
from tests.models.health.plain_hours import hour, hours
from tests.page_words import unscripted


def symptom(cause, says="x", number=0.5, threshold=0.95, about="reward, all"):
    level = {"level": "act", "since": 0, "nats": 20.0, "needed": 11.0}
    figures = {"number": number, "threshold": threshold}
    return Symptom(watch="reward", about=about, cause=cause, says=says, remedy="look", **level, **figures)


def test_every_cause_has_a_unit_and_figures_say_it():
    assert set(UNITS) == set(CAUSES)
    assert figures(symptom("rewards_lost", number=0.843)) == ("84 % of due", "95 % of due")
    assert figures(symptom("clock_skew", number=90.04, threshold=2.0)) == ("90 s", "2 s")
    assert figures(symptom("bot_traffic", number=0.299, threshold=0.05)) == ("30 % of decisions", "5 % of decisions")
    assert figures(symptom("feature_drift", number=0.3061, threshold=0.1)) == ("PSI 0.31", "PSI 0.1")


def test_watches_that_saw_it_begin_at_another_hour_say_the_same():
    rows = [symptom("taste_flip", says="country AT turned: 41 of 262", about=f"watch {k}") for k in range(3)]
    rows += [
        symptom("taste_flip", says="country AT turned: 85 of 316"),
        symptom("taste_flip", says="country BR turned: 1 of 9"),
    ]
    grouped = alike(rows)
    assert [len(each) for each in grouped] == [4, 1]
    assert watches(grouped[0]) == "also in watch 1; watch 2; reward, all"
    assert watches(grouped[1]) == ""
    many = [symptom("rewards_lost", about=f"w{k}") for k in range(8)]
    assert watches(many) == "also in w1; w2; w3; w4 and 3 more"


def test_what_stands_between_backticks_is_code_and_nothing_else_is_html():
    assert code("run `croupier turn --app <x>` & look") == "run <code>croupier turn --app &lt;x&gt;</code> &amp; look"
    assert code("a `lone backtick, <b>") == "a `lone backtick, &lt;b&gt;"
    assert code("`a` and `b`") == "<code>a</code> and <code>b</code>"


def test_an_app_without_hours_says_what_to_do_and_has_no_axes():
    page = unscripted(verdict_page.render_page(Examined("shop", None, None)))
    assert "<code>croupier turn</code>" in page
    assert "Axes of time" not in page
    assert "a verdict from four days" in " ".join(page.split())


@pytest.mark.medium
def test_the_page_of_a_sick_app_has_a_row_a_finding():
    rng = np.random.default_rng(3)
    history = History.of([*hours(22, 7), *(hour(22 * 24 + k, rng, arm_rates=[("b", 0.0)]) for k in range(24))])
    d = diagnose(history)
    page = unscripted(verdict_page.render_page(Examined("shop", history, d)))
    (rows,) = {page.count(f'<td class="t">{each}') for each in ("rewards of arm b are not logged any more",)}
    assert rows == 1 < sum(s.cause == "reward_feed_arm" for s in d.symptoms)
    assert "(also in reward, " in page
    assert "0 % of due" in page
    assert 'arms on offer</th><td class="n">3</td>' in page
    grave = verdict_page.render_page(Examined("shop", history, replace(d, remedy="run `croupier account`")))
    assert "<code>croupier account</code>." in grave
