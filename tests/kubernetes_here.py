"""helm and Kubernetes' schemas, where `.ci/kubernetes` has put them; and the chart, rendered."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "serving" / "deploy" / "chart"
LOCK = ROOT / "locks" / "kubernetes.lock"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "croupier"
TOOLS = CACHE / f"kubernetes-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
HELM = TOOLS / "helm"
needs_helm = pytest.mark.skipif(not HELM.exists(), reason="no helm and kubernetes-validate here: `.ci/kubernetes`")

MINIMUM = {
    "app": "shop",
    "image": {"repository": "registry.example/croupier-triton", "digest": f"sha256:{'a' * 64}"},
    "store": {"url": "s3://croupier/shop"},
}
# every option that the chart has, switched to what it is not by default
EVERYTHING = MINIMUM | {
    "image": MINIMUM["image"] | {"pullSecrets": ["registry"]},
    "store": MINIMUM["store"] | {"endpoint": "http://store:8333"},
    "tls": {"mutual": True},
    "verifyKeys": "croupier-keys",
    "gpu": {"enabled": True},
    "nodeSelector": {"pool": "serving"},
    "tolerations": [{"key": "serving", "operator": "Exists"}],
    "monitoring": {"enabled": True, "labels": {"release": "prometheus"}},
    "autoscaling": {"enabled": False},
    "declaration": {"appToml": "[reward.kinds.click]\n", "catalogue": '[{"arm_id": "a"}]'},
    "networkPolicy": {"storePorts": [8333], "extraEgress": [{"ports": [{"protocol": "TCP", "port": 80}]}]},
    "turn": {
        "enabled": True,
        "signingKey": "croupier-signing",
        "image": {"repository": "registry.example/croupier-airflow", "digest": f"sha256:{'b' * 64}"},
    },
    "serviceAccount": {"annotations": {"example.com/role": "croupier"}},
    "triton": {"extraEnv": {"CROUPIER_PATIENCE_MS": "40"}},
    "volume": {"storageClass": "fast"},
}


def helm(*words, chart=CHART, values=None, folder=None):
    """(exit code, standard output, standard error) of a call with values."""
    options = []
    if values is not None:
        (folder / "values.yaml").write_text(yaml.safe_dump(values))
        options = ["--values", folder / "values.yaml"]
    done = subprocess.run(
        [HELM, *words[:1], *words[1:], chart, *options], capture_output=True, text=True, check=False,
        env=os.environ | {"HELM_CACHE_HOME": str(CACHE), "HELM_CONFIG_HOME": str(CACHE), "HELM_DATA_HOME": str(CACHE)},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def rendered(values, folder, chart=CHART):
    """The objects of the chart as text. Fails where helm refuses."""
    code, out, err = helm("template", "demo", chart=chart, values=values, folder=folder)
    assert code == 0, err
    return out


def objects(text):
    """{(kind, name): object}"""
    found = [each for each in yaml.safe_load_all(text) if each]
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def validated(texts, folder):
    """{name: [what was said of it that is no praise]} of rendered texts by name, by Kubernetes' own schemas, strictly: no
    field that they do not have. One process for all, as each reads the schemas anew."""
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "kubernetes_validate", "--strict", *(folder / f"{name}.yaml" for name in texts)],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(TOOLS / "lib")},
    )  # fmt: skip
    lines = (done.stdout + done.stderr).splitlines()
    passed = [line for line in lines if " passed for resource " in line]
    assert len(passed) >= 5 * len(texts), done.stderr
    return {name: [at for at in lines if f"/{name}.yaml" in at and at not in passed] for name in texts}
