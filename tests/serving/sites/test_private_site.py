"""`croupier site moments --epsilon`, where the accountant is installed: what it states, and a head of noisy sums."""

import json

import pytest

pytest.importorskip("dp_accounting", reason="the accountant is an extra: pip install 'croupier[privacy]'")

import numpy as np

from croupier.features import build
from croupier.models.federated.noise import epsilon
from croupier.models.federated.site_moments import SiteMoments
from tests.serving.sites.test_site_commands import LAST, SECOND, THIRD, site, sites  # noqa: F401 — a fixture

pytestmark = pytest.mark.medium


def test_the_file_states_its_epsilon_and_the_head_of_noisy_sums_is_judged(sites, tmp_path):  # noqa: F811
    private = ["--epsilon", 4, "--delta", 1e-5, "--bound", 3, "--per-unit", 2, "--times", 2]
    between, release = ["--from", SECOND, "--to", THIRD], ["--release", sites / "release" / "1"]
    for name in ("graz", "linz"):
        words = ["moments", tmp_path / name, "--site", name, *between, *release, *private]
        code, said = site(*words, var=sites / name)
        assert code == 0, said
        assert "ε = 4 at δ = 1e-05 for a unit in 2 such files, by dp-accounting" in said
    one = SiteMoments.read(tmp_path / "graz")
    assert 3.999 < one.privacy.epsilon <= 4
    assert one.privacy.epsilon == pytest.approx(epsilon(one.privacy.multiplier, 1e-5, times=2), abs=1e-5)
    assert np.linalg.eigvalsh(one.moments.A).min() < 0  # noise alone
    key = build.encode("shop", SECOND, LAST)["features"]
    code, said = site(
        "add", tmp_path / "graz", tmp_path / "linz", "--features", key, *release, "--json", var=sites / "graz"
    )
    assert code == 0, said
    judged = json.loads(said)["verdict"]["evaluation"]["policies"]
    assert 0 < judged["lin_ts"]["dr"] < 1
    assert judged["lin_ts"]["verdict"] in {"promote", "not enough evidence", "do not promote"}
