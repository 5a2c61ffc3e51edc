"""The head of several sites is that of all their rows in one place, and sums of something else are refused by name."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from croupier.models.bayesian.linear import LinTS
from croupier.models.bayesian.posterior import RidgeMoments
from croupier.models.federated.pooled import pooled
from croupier.models.federated.profile import additive
from croupier.models.federated.site_moments import SiteMoments
from croupier.models.policy import load, make
from tests.models.federated.sites import BEFORE, ROWS, WORLD, far, policies, profile_of, site

BATCH = WORLD.requests(50, np.random.default_rng(9), ragged=True)
POLICIES = policies()
LINEAR = POLICIES["lin_ts"]


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_sums_of_sites_are_the_pooled_head_to_1e_12_and_serve_as_any(name, tmp_path):
    policy = POLICIES[name]
    for each in ROWS:
        site(policy, each).write(tmp_path / each)
    files = [SiteMoments.read(tmp_path / each) for each in ROWS]
    found = pooled(policy, profile_of(policy), files)
    everything = [chunk for log in ROWS.values() for chunk in log]
    phi = np.concatenate([policy.features(chunk.batch, chunk.chosen) for chunk in everything])
    reward = policy.standardise(np.concatenate([chunk.reward for chunk in everything]))
    # by hand, of φ and rewards in one place; the network's φ of a log is float32's of another order of products
    assert far(found.head.moments, RidgeMoments.of(phi, reward)) < (1e-12 if name == "lin_ts" else 1e-6)
    one_place = site(policy, "all", everything)
    assert far(found.head.moments, one_place.moments) < 1e-12
    assert found.head.step == found.head.moments.n == 1340
    assert np.abs(found.pmf(BATCH) - pooled(policy, profile_of(policy), [one_place]).pmf(BATCH)).max() < 1e-9
    assert np.abs(found.pmf(BATCH) - policy.pmf(BATCH)).max() > 0.01  # 1,340 rows say something
    (tmp_path / "policy").mkdir()
    found.save(tmp_path / "policy")
    assert (load(tmp_path / "policy").pmf(BATCH) == found.pmf(BATCH)).all()


def test_the_order_of_files_does_not_matter_to_the_bit():
    files = [site(LINEAR, each) for each in ROWS]
    one, other = (pooled(LINEAR, profile_of(LINEAR), order).head.moments for order in (files, files[::-1]))
    assert (one.A == other.A).all()
    assert one.rr == other.rr


def test_sums_of_another_profile_are_refused_by_its_name():
    fine = site(LINEAR, "graz")
    other_phi = LinTS(cross="none").learn([WORLD.log(310, 1)])  # another scale of rewards
    cases = {
        "encoder e2 where e1 is expected": replace(fine.profile, encoder="e2"),
        "reward w2 where w1 is expected": replace(fine.profile, reward="w2"),
        "release r8 where r7 is expected; features f3 where f1": replace(fine.profile, release="r8", features="f3"),
        "policy neural_linear where lin_ts is expected; phi": profile_of(POLICIES["neural_linear"]),
        "found phi ": profile_of(other_phi),
    }
    for said, profile in cases.items():
        with pytest.raises(ValueError, match=r"site linz: found .* cannot be added") as error:
            pooled(LINEAR, profile_of(LINEAR), [fine, site(LINEAR, "linz", profile=profile)])
        assert said in str(error.value)
    assert profile_of(LINEAR.update(ROWS["graz"])) == profile_of(LINEAR)  # what a head has learnt is no part of it


def test_a_site_twice_and_no_site_are_refused():
    with pytest.raises(ValueError, match="found graz twice, expected each once"):
        pooled(LINEAR, profile_of(LINEAR), [site(LINEAR, "graz"), site(LINEAR, "linz"), site(LINEAR, "graz")])
    with pytest.raises(ValueError, match="sites: found no file"):
        pooled(LINEAR, profile_of(LINEAR), [])


def test_only_a_head_that_adds_is_taken():
    for wrong, said in (
        (None, "found none, expected a trained one"),
        (make("uniform"), "found uniform, expected a trained one"),
        (LinTS(), "found lin_ts, expected a trained one"),
        (LinTS(heads="per_arm").learn(BEFORE), "found lin_ts, expected a trained one with a head that all arms share"),
        (LinTS(half_life=50.0).learn(BEFORE), "found {'half_life': 50.0, 'window': 0}, expected 0 of both"),
    ):
        with pytest.raises(ValueError) as error:
            additive(wrong)
        assert said in str(error.value)


def test_a_file_that_was_changed_or_is_malformed_is_named(tmp_path):
    path = tmp_path / "graz.json"
    site(LINEAR, "graz").write(path)
    right = orjson.loads(path.read_bytes())
    assert SiteMoments.read(path).digest == right["digest"]

    def refused(found, *, sealed):
        """What is said of this content; `sealed`: with the digest of a careful forger."""
        if sealed:
            told = {name: value for name, value in found.items() if name != "digest"}
            found = found | {"digest": hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()}
        (tmp_path / "bad.json").write_bytes(found if isinstance(found, bytes) else orjson.dumps(found))
        with pytest.raises(
            ValueError, match=r"bad\.json: .*(let the site write it again|croupier site moments)"
        ) as error:
            SiteMoments.read(tmp_path / "bad.json")
        return str(error.value)

    assert "the file was changed" in refused(right | {"n": right["n"] + 1}, sealed=False)
    assert "found no JSON" in refused(path.read_bytes()[:-20], sealed=False)
    assert "expected an object of A, b, format" in refused({"site": "graz"}, sealed=False)
    assert "expected an object" in refused([1, 2], sealed=False)
    for change, said in (
        ({"format": 2}, "format: found 2, expected 1"),
        ({"site": " "}, "site: found ' ', expected its name"),
        ({"since": "yesterday"}, "since: found 'yesterday', expected microseconds"),
        ({"b": right["b"][:-1]}, "A: found "),
        ({"b": "none"}, "b: found 'none', expected numbers"),
        ({"n": True}, "('rr', 'n'): found "),
        ({"profile": {"release": "r7"}}, "profile: found {'release': 'r7'}, expected texts named encoder"),
        ({"privacy": {"epsilon": 1.0}}, "privacy: found {'epsilon': 1.0}"),
    ):
        assert said in refused(right | change, sealed=True), change
    assert not list(Path(tmp_path).glob(".*"))
