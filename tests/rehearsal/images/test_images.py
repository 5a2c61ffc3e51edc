"""The image for a Ray cluster, which compose does not build: over Airflow's, with the Ray of its lock."""

import re
import subprocess

import pytest

from tests.rehearsal.__main__ import missing, prefix, python
from tests.rehearsal.given import ROOT
from tests.rehearsal.images import bases, building, places
from tests.rehearsal.running import CHROOT

IMAGE = "localhost/croupier-ray"


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.full
def test_the_image_with_ray_has_the_ray_of_its_lock():
    if why := missing() or bases.lacking():
        pytest.skip(why)
    airflow = building.built(prefix(python()))["airflow-worker"]
    bases.build(ROOT / "serving" / "deploy" / "ray.Dockerfile", IMAGE, ROOT, {"AIRFLOW_IMAGE": airflow})
    with places.mounted({"ray": IMAGE}) as known:
        image = known["ray"]
        words = [CHROOT, image["files"], "ray", "--version"]
        said = subprocess.run(words, check=True, capture_output=True, text=True, env=image["environment"]).stdout
    locked = re.search(r"^ray==(\S+)", (ROOT / "locks" / "ray.lock").read_text(), re.M)[1]
    assert said.strip() == f"ray, version {locked}"


def test_without_images_no_podman_is_asked(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with places.mounted({}) as known:
        assert known == {}
