"""`croupier site`: two sites with stores of their own, one release, and a head of both that the gate judges and that
is served as any other. No row of one site is in the other's store."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from croupier.features import build
from croupier.features.encoding import catalogue
from croupier.features.utc import HOUR
from croupier.features.workspace import Workspace, get_folder
from croupier.features.worlds.reels import START, World
from croupier.models import training
from croupier.models.federated.site_moments import SiteMoments
from croupier.models.policy import load
from croupier.serving.cli import app
from croupier.serving.operate import loop
from croupier.serving.operate.verdict_release import release_policies
from croupier.serving.release import bundle, bundle_store

WORLD = World(seed=3, effect=2.0)
FIRST, SECOND, THIRD, LAST = (f"2026-09-21T{hour}:00+00:00" for hour in (14, 16, 17, 19))
pytestmark = pytest.mark.medium


def site(*words, var):
    env = {"CROUPIER_VAR": str(var), "CROUPIER_APP": "shop"}
    done = CliRunner().invoke(app, ["site", *map(str, words)], env=env)
    return done.exit_code, done.output


def logged(w, parts):
    """Rows of the world in this site's store, each part (rows, seed, hours after the first)."""
    w.home.mkdir(parents=True)
    (w.home / "app.toml").write_text(WORLD.app_toml(window_seconds=600))
    catalogue.write(w.home / "catalogue.json", WORLD.arms())
    spool = w.spool()
    for rows, seed, hours in parts:
        decisions, rewards = WORLD.log(rows, seed=seed, start=START + hours * HOUR)
        spool.append_decisions(decisions)
        spool.append_rewards(rewards)
    spool.close()
    build.collect("shop")
    build.join("shop", FIRST, LAST)


def released(w, scratch):
    """Release 1: a head that knows 120 rows, and is worth little."""
    key = build.encode("shop", FIRST, SECOND)["features"]
    candidate = training.train("shop", key, "lin_ts")["candidate"]
    release_policies(
        w,
        champion=load(get_folder(w.store, candidate, scratch / "lin_ts")),
        candidate=None,
        encoder=build.encoder_at(w, f"features/{key}/encoder"),
        arms=w.arms(),
        meta={"verdict": "by hand", "declared": build.declared(w.spec)},
    )
    bundle_store.download(w.store, 1, scratch / "release" / "1", app="shop")


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """Folders of two sites: each has a log of its own, the second the first one's release as a copied folder."""
    root = tmp_path_factory.mktemp("sites")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", str(root / "linz"))
        logged(Workspace.open("shop"), [(1200, 4, 2)])
        patch.setenv("CROUPIER_VAR", str(root / "graz"))
        w = Workspace.open("shop")
        logged(w, [(120, 1, 0), (1200, 2, 2), (1800, 3, 3)])
        released(w, root)
        yield root


def test_the_head_of_both_is_judged_and_served(sites, tmp_path):
    graz, linz = tmp_path / "graz.json", tmp_path / "linz.json"
    release, between = sites / "release" / "1", ["--from", SECOND, "--to", THIRD]
    assert site("moments", graz, "--site", "graz", *between, var=sites / "graz") == (
        0,
        f"{graz}: graz: about 1,200 rows of 2026-09-21T16 to 2026-09-21T17 UTC, 150 features, without noise\n",
    )
    code, said = site("moments", linz, "--site", "linz", *between, "--release", release, "--json", var=sites / "linz")
    assert (code, json.loads(said)["rows"]) == (0, 1200)
    assert {len(file.read_bytes()) < 200_000 for file in (graz, linz)} == {True}

    key = loop.build_interval("shop", (SECOND, LAST))  # as `croupier turn --last` does, validated
    code, said = site("add", graz, linz, "--features", key, "--json", var=sites / "graz")
    assert code == 0, said
    found = json.loads(said)
    assert found["verdict"]["promoted"] == "lin_ts"
    assert found["outcome"] == {"app": "shop", "release": 2, "published": True, "candidate": "lin_ts"}
    w = Workspace.open("shop")
    bundle_store.download(w.store, 2, tmp_path / "2", app="shop")
    served = bundle.load(tmp_path / "2").candidate.head
    files = [SiteMoments.read(path) for path in (graz, linz)]
    assert served.step == served.moments.n == 2400
    assert np.abs(served.moments.A - files[0].moments.A - files[1].moments.A).max() < 1e-9
    assert np.abs(served.moments.b - files[0].moments.b - files[1].moments.b).max() < 1e-9


def test_what_must_not_be_added_is_refused_by_name(sites, tmp_path, monkeypatch):
    release, between = sites / "release" / "1", ["--from", SECOND, "--to", THIRD]
    of = {"var": sites / "linz"}
    here = ["moments", tmp_path / "linz.json", "--site", "linz", *between]
    assert site(*here, "--release", release, **of)[0] == 0
    whole = ["--from", SECOND, "--to", LAST, "--site", "wien", "--release", "1"]
    assert site("moments", tmp_path / "late.json", *whole, var=sites / "graz")[0] == 0
    toml = sites / "linz" / "shop" / "app.toml"
    before = toml.read_text()
    toml.write_text(before.replace("window_seconds = 600.0", "window_seconds = 500.0"))
    assert site("moments", tmp_path / "rewards.json", "--site", "wels", *between, "--release", release, **of)[0] == 0
    toml.write_text(before.replace("[arm_context.affinity]", "[arm_context.closeness]"))
    code, said = site(*here, "--release", release, **of)
    assert (code, "app.toml: found features of digest" in said, "with which release 1 was made" in said) == (
        1,
        True,
        True,
    )
    toml.write_text(before)

    key = build.encode("shop", SECOND, LAST)["features"]
    for files, expected in (
        (["linz", "rewards"], "site wels: found reward "),
        (["linz", "late"], "site wien: found sums of rows until 2026-09-21 19:00:00+00:00, expected until"),
        (["linz", "linz"], "sites: found linz twice"),
    ):
        paths = [tmp_path / f"{name}.json" for name in files]
        code, said = site("add", *paths, "--features", key, "--release", 1, var=sites / "graz")
        assert (code, expected in said) == (1, True), said
    for words, expected in (
        ([*here], "release: found none of app shop, expected one with a head that sites can add to"),
        ([*here, "--release", 7], "no release 7 in"),
        ([*here[:3], " ", *here[4:], "--release", release], "--site: found ' ', expected this site's name"),
        ([*here[:4], "--from", "noon", "--to", THIRD, "--release", release], "interval: found 'noon', expected a time"),
        (["add", tmp_path, "--features", "k"], "found no file, expected one that `croupier site moments` wrote"),
        ([*here, "--release", tmp_path / "nowhere"], "nowhere"),
        ([*here, "--release", release, "--epsilon", 1], "expected both or neither"),
        ([*here, "--release", release, "--bound", 3], "expected both or neither"),
        (
            [*here, "--release", release, "--epsilon", 1, "--bound", 3, "--delta", 2],
            "expected ε in (0, 100], δ in (0, 1)",
        ),
        (
            [*here[:4], "--from", FIRST, "--to", "2026-09-21T15:00+00:00", "--release", release],
            "interactions: found none",
        ),
    ):
        code, said = site(*words, **of)
        assert (code, expected in said) == (1, True), (words, said)
    monkeypatch.setattr("sys.path", [])  # the accountant, where it is installed, is not found
    code, said = site(*here, "--release", release, "--epsilon", 1, "--bound", 3, **of)
    assert (code, "run `pip install 'croupier[privacy]'`" in said) == (1, True), said
