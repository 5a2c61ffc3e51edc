"""Several apps in one run: what is broken in one keeps no other back, and is told by name once the others are done."""

import pytest

from croupier.features.spec import SpecError
from croupier.features.store.storage import StoreUnavailable
from croupier.models import each_app, training
from croupier.models.each_app import EachApp, trained_whole


def halved(number):
    if number % 2:
        raise ValueError(f"found {number}, expected an even number")
    return number // 2


def test_the_others_go_on_and_who_failed_is_named():
    each = EachApp()
    assert each.done(halved, [("a", 4), ("b", 3), ("c", 8)]) == [2, 4]
    assert each.said() == {"b": "ValueError: found 3, expected an even number"}
    with pytest.raises(ValueError, match="found 3"):
        each.or_raise()
    assert each.done(halved, [("d", 5), ("e", 6)]) == [3]
    with pytest.raises(RuntimeError, match=r"^b: ValueError: found 3, .*; d: ValueError: found 5"):
        each.or_raise()
    EachApp().or_raise()


def test_where_all_fail_it_is_raised_as_it_was():
    with pytest.raises(ValueError, match="found 3"):
        EachApp().done(halved, [("b", 3), ("d", 5)])
    assert EachApp().done(halved, []) == []


@pytest.mark.parametrize(("again", "raised"), [(True, True), (False, False)])
def test_what_may_pass_is_tried_again_while_the_task_has_tries_left(again, raised):
    def down(number):
        if number == 3:
            raise StoreUnavailable("the disk is full")
        return halved(number)

    each, given = EachApp(again=again), [("a", 4), ("b", 3), ("c", 5)]
    if raised:
        with pytest.raises(StoreUnavailable, match="the disk is full"):
            each.done(down, given)
    else:
        assert each.done(down, given) == [2]
    assert sorted(each.said()) == ["b", "c"]


def job(app, policy, **more):
    return {"app": app, "features": "k", "policy": policy} | more


def test_an_app_is_judged_with_all_of_its_families_or_not_at_all():
    """With one family less another process would begin, and the error of judging would be spent anew."""
    planned = [job("a", "x"), job("a", "y"), job("b", "x"), job("b", "y"), job("c", "x")]
    trained = [job("b", "x", candidate="1"), job("b", "y", candidate="2"), job("a", "y", candidate="3")]
    assert trained_whole(planned, trained) == [("b", trained[:2])]


def test_every_app_that_came_to_no_end_is_named():
    planned, done = [job("a", "x"), job("b", "x"), job("c", "x")], [{"app": "b"}]
    with pytest.raises(RuntimeError, match=r"^a: a training failed: .*; c: SpecError: no; d: torn$"):
        each_app.or_raise(planned, done, [{"d": "torn"}, {"c": "SpecError: no"}])
    with pytest.raises(RuntimeError, match="`plan` failed"):
        each_app.or_raise(None, [], [])
    each_app.or_raise(planned[1:2], done, [{}])


def test_a_torn_app_toml_keeps_no_other_app_from_its_training(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    for app, toml in (("sound", '[policies]\ncandidates = ["lin_ts"]\n'), ("torn", "[policies\n")):
        (tmp_path / app).mkdir()
        (tmp_path / app / "app.toml").write_text(toml)
    pairs = [("torn", ("torn", "k1")), ("sound", ("sound", "k2"))]
    with pytest.raises(SpecError):
        training.plan([pair for _, pair in pairs])
    each = EachApp(again=True)
    assert each.done(lambda pair: training.plan([pair]), pairs) == [[job("sound", "lin_ts", features="k2")]]
    assert each.said()["torn"].startswith("SpecError: ")
