"""[retrieval] over a catalogue as shops have it: nested features, numpy's vectors, arms that end, pause, come and are wrong."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("faiss", reason="the extra `retrieval`")
from croupier import Embedded
from croupier.features import clock
from croupier.features.declared.retrieval import RetrievalSpec
from croupier.features.encoding import catalogue
from croupier.features.exchange.coerce import DeclaredFeatures
from croupier.features.schema import Arm, InvalidEvent
from croupier.features.spec import AppSpec, RewardSpec
from croupier.features.spec_values import ArmsSpec
from croupier.features.store import layout, released
from croupier.features.store.storage import open_store
from croupier.serving.catalogue import edits
from croupier.serving.catalogue.newcomers import newcomers
from croupier.serving.client.errors import Refused
from croupier.serving.decide.replay import replay
from croupier.serving.operate import app_check, catalogue_release
from croupier.serving.release.newcomer_share import Newcomers
from croupier.serving.retrieval import retriever

D, ARMS = 4, 60
TOML = """
[context."user.taste"]
type = "embedding"
length = 4
[arm."vectors.taste"]
type = "embedding"
length = 4
[retrieval]
context = "user.taste"
arm = "vectors.taste"
top = 20
random = 10
"""


def vector(i):
    return np.random.default_rng([3, i]).normal(size=D).round(3).tolist()


def article(i, **more):
    return Arm(arm_id=f"Sofa {i}, blue", features={"vectors": {"taste": vector(i)}}, **more)


def asked(i=0):
    return {"user": {"taste": np.ones(D) * (1 + i)}}


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Sixty articles, of which every fourth has ended, and every fourth is paused."""
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    home = tmp_path / "shop"
    kinds = ({"valid_to": 1}, {"paused": True}, {}, {"valid_from": 1})
    catalogue.write(home / layout.CATALOGUE, [article(i, **kinds[i % 4]) for i in range(ARMS)])
    (home / layout.APP_TOML).write_text(TOML)
    with Embedded("shop") as found:
        yield found


def decision(shop, i):
    chosen = shop.select(unit_id="u", context=asked(i))
    return shop.host.spool.find([chosen.event_id])[chosen.event_id]


@pytest.mark.medium
def test_arms_that_cannot_be_chosen_take_nobodys_place(shop):
    first = decision(shop, 0)
    scores = {f"Sofa {i}, blue": float(np.ones(D) @ vector(i)) for i in range(ARMS) if i % 4 > 1}
    assert first.retrieved == "20+10 of 30"
    assert set(first.arms[:20]) == set(sorted(scores, key=scores.get)[-20:])
    assert set(first.arms) == set(scores), "20 and all 10 others: no place is lost to an arm that has ended"
    release = shop.host.selector.release
    assert all(s.holds for s in replay(first, load=lambda _: release, spool=shop.host.spool, spec=RewardSpec()))
    said = app_check.check(shop.host.w, now=clock.now())
    assert said.problems == ()
    assert any("among 20 of 30, by vectors.taste" in each for each in said.facts["constraints"]), said.facts


@pytest.mark.medium
def test_what_leaves_the_catalogue_leaves_the_index_and_what_is_wrong_costs_no_number(shop):
    w = shop.host.w
    file = w.home / layout.CATALOGUE
    left = [article(i) for i in range(2, ARMS, 4)]
    catalogue.write(
        file, [*left, Arm(arm_id="new", features={}), Arm(arm_id="odd", features={"vectors": {"taste": None}})]
    )
    said = catalogue_release.look(w, clock.now_us())
    assert said.startswith("not released: ValueError: arm new: found vectors.taste = None, expected 4 numbers"), said
    assert said.endswith("which retrieval needs; so have 1 others"), said
    assert (released.numbers(w.store), released.current(w.store)) == ([1], 1)
    catalogue.write(file, [*left, article(900)])
    assert catalogue_release.look(w, clock.now_us()) == "release 2"
    shop.host.look()
    assert shop.release == 2
    found = decision(shop, 1)
    assert found.retrieved == "16+0 of 16", "sixteen are left; those that left are kept as retired, and not listed"
    assert set(found.arms) == {arm.arm_id for arm in left} | {"Sofa 900, blue"}


@pytest.mark.parametrize(("features", "says"), [
    ({"taste": [1.0, float("nan")]}, r"catalogue.a b: found .*nan.*, expected finite numbers"),
    ({"taste": np.array([1.0, np.inf])}, r"catalogue.a b: found .*inf.*, expected finite numbers"),
    ({"taste": {1, 2}}, r"catalogue.a b: found .*, expected features that JSON can carry"),
])  # fmt: skip
def test_what_json_would_lose_is_refused_by_name(features, says):
    fine = Arm(arm_id="fine", features={"text": "null"})
    with pytest.raises(InvalidEvent, match=says):
        catalogue.dumps([fine, Arm(arm_id="a b", features=features)])


def test_numpys_vectors_are_lists_and_canonical_bytes_are_what_they_were():
    arms = [Arm(arm_id="a", features={"taste": np.array([1.0, 0.5])}), Arm(arm_id="b", features={}, paused=True)]
    same = [Arm(arm_id="a", features={"taste": [1.0, 0.5]}), arms[1]]
    assert catalogue.loads(catalogue.dumps(arms)) == same
    assert catalogue.digest(arms) == catalogue.digest(same) == "cf7b28114924b9138e10fe7c0840e63b", "as of before"


@pytest.mark.parametrize(
    "taste", [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0, True], [1.0, 2.0, 3.0, 1e30], [], "1,2,3,4", [[1.0] * 4]]
)
def test_an_arms_embedding_that_is_none_is_named_once_with_how_many_are_like_it(taste):
    spec = RetrievalSpec(context="user.taste", arm="vectors.taste")
    odd = [Arm(arm_id=name, features={"vectors": {"taste": taste}}) for name in ("x", "y", "z")]
    (problem,) = retriever.problems(spec, [article(1), *odd])
    assert problem.startswith("arm x: found vectors.taste = ")
    assert problem.endswith("expected 4 numbers, as of other arms, which retrieval needs; so have 2 others")
    gone = [Arm(arm_id=arm.arm_id, features=arm.features, valid_to=1) for arm in odd]
    assert retriever.problems(spec, [article(1), *gone]) == [], "an arm that has ended needs none"


@pytest.mark.medium
def test_a_request_whose_embedding_is_none_is_refused_by_its_name(shop):
    for taste in ([1.0] * 3, [1.0, 2.0, 3.0, 1e30], [True] * 4, None):
        with pytest.raises(Refused, match=r"context\.user\.taste: found"):
            shop.select(unit_id="u", context={"user": {"taste": taste}} if taste else {})


def test_a_shops_table_has_its_vectors_as_lists_in_cells(shop_toml, tmp_path):
    spec, file = AppSpec.read(shop_toml), tmp_path / "arms.csv"
    file.write_text('arm_id,vectors.taste,title\nSofa 1,"[1, 2.5, -3, 4]",[sale]\nSofa 2,"[1, 2]",\n')
    first, second = edits.read_arms(file)
    (arm,) = DeclaredFeatures(spec).arms([first])
    assert arm.features == {"vectors.taste": [1, 2.5, -3, 4], "title": "[sale]"}
    with pytest.raises(ValueError, match=r"^arm Sofa 2: arm.vectors.taste: found \[1, 2\], expected a list of 4"):
        DeclaredFeatures(spec).arms([first, second])
    broken = replace(second, features={"vectors.taste": "[1, 2"})
    with pytest.raises(ValueError, match=r"arm Sofa 2: arm.vectors.taste: found '\[1, 2', expected a list of 4"):
        DeclaredFeatures(spec).arms([broken])


def test_editing_very_many_arms_takes_no_table_of_arms_and_ids():
    """200,000 arms and 2,000 ids: arms times ids would be half a minute, and a near name among all of them longer."""
    many = [Arm(arm_id=f"Sofa {i}", features={}) for i in range(200_000)]
    ids = [f"Sofa {i}" for i in range(0, 200_000, 100)]
    assert sum(arm.paused for arm in edits.pause(many, ids)) == 2_000
    with pytest.raises(ValueError, match=r"found 'Sofa x', expected one of the 200000 arms .* did you mean"):
        edits.pause(many, ["Sofa x"])
    with pytest.raises(ValueError, match="found 'Sofa 5' twice"):
        edits.add(many, [*many[:1_000], many[5]], change=True)


@pytest.fixture
def shop_toml(tmp_path):
    path = tmp_path / "app.toml"
    path.write_text(TOML)
    return path


@pytest.mark.medium
def test_a_look_at_an_unchanged_catalogue_reads_the_releases_manifest_alone(shop):
    """The arms of the release are taken away: a look that read them would not end well."""
    w = shop.host.w
    key = layout.release(1, layout.CATALOGUE)
    kept = w.store.get(key)
    w.store.delete(key)
    assert catalogue_release.look(w, clock.now_us()) == ""
    catalogue.write(w.home / layout.CATALOGUE, [*w.arms(), article(900)])
    assert catalogue_release.look(w, clock.now_us()).startswith("not released: KeyError")
    w.store.put(key, kept)
    assert catalogue_release.look(w, clock.now_us()) == "release 2"


def test_new_arms_of_a_large_catalogue_are_found_in_one_pass(tmp_path):
    """A look at each minute does this: with a table of arms and arms 30,000 of them took minutes."""
    old = [Arm(arm_id=f"Sofa {i}", features={}) for i in range(30_000)]
    came = [Arm(arm_id="new", features={}), Arm(arm_id="ended", features={}, valid_to=1)]
    at = clock.now_us()
    found = newcomers(open_store(str(tmp_path)), ArmsSpec(), Newcomers(), old, [*old, *came], now=at)
    assert (found.since, found.share) == ({"new": at}, ArmsSpec().new_floor)
