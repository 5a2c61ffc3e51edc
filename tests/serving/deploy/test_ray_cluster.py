"""The chart's Ray cluster: pods that Kubernetes knows, fields that KubeRay knows, and who may send it jobs."""

import re

import pytest
import yaml

from tests.kubernetes_here import CHART, EVERYTHING, MINIMUM, ROOT, helm, needs_helm, objects, rendered, validated
from tests.serving.deploy.test_chart_and_code import OTHERS, OURS, closed, environment

pytestmark = [needs_helm, pytest.mark.medium]
RAY = EVERYTHING | {
    "ray": {"enabled": True, "clients": [{"podSelector": {"matchLabels": {"component": "worker"}}}]},
    "triton": {},
}
NAME = "demo-shop-ray"
KNOWN = {  # of KubeRay's API (ray.io/v1), which no schema here knows
    "spec": {"rayVersion", "headGroupSpec", "workerGroupSpecs"},
    "head": {"rayStartParams", "template"},
    "workers": {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"},
}


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    return objects(rendered(RAY, tmp_path_factory.mktemp("ray")))


def groups(there):
    """The head's group, and that of the workers."""
    spec = there["RayCluster", NAME]["spec"]
    return [spec["headGroupSpec"], *spec["workerGroupSpecs"]]


def as_pods(there):
    """What the operator makes pods of, as pods."""
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", **group["template"]["metadata"]},
         "spec": group["template"]["spec"]} for group in groups(there)
    ]  # fmt: skip


TOKEN = [
    {"name": "RAY_AUTH_MODE", "value": "token"},
    {"name": "RAY_AUTH_TOKEN", "valueFrom": {"secretKeyRef": {"name": "croupier", "key": "RAY_AUTH_TOKEN"}}},
]


def shown(container):
    """What a container shows to Ray."""
    return [each for each in container["env"] if each["name"].startswith("RAY_AUTH")]


def test_without_it_nothing_of_ray_is_made(tmp_path):
    found = objects(rendered(EVERYTHING, tmp_path))
    assert [kind for kind, _ in found if kind == "RayCluster"] == []
    assert "RAY" not in yaml.safe_dump(list(found.values()))


def test_kuberay_and_kubernetes_know_every_field(there, tmp_path):
    spec = there["RayCluster", NAME]["spec"]
    assert there["RayCluster", NAME]["apiVersion"] == "ray.io/v1"
    assert set(spec) == KNOWN["spec"]
    assert set(spec["headGroupSpec"]) == KNOWN["head"]
    assert [set(group) for group in spec["workerGroupSpecs"]] == [KNOWN["workers"]]
    pods = yaml.safe_dump_all(as_pods(there) * 5)  # `validated` asks for five sound objects a text
    wrong = pods.replace("medium: Memory", "media: Memory")
    said = validated({"pods": pods, "wrong": wrong}, tmp_path)
    assert said["pods"] == []
    assert len(said["wrong"]) == 10, said


def test_its_ray_is_the_one_of_the_lock_and_its_pods_may_do_nothing(there):
    locked = re.search(r"^ray==(\S+)", (ROOT / "locks" / "ray.lock").read_text(), re.M)[1]
    assert there["RayCluster", NAME]["spec"]["rayVersion"] == locked
    for group in groups(there):
        pod = group["template"]["spec"]
        assert closed("RayCluster", pod | {"initContainers": []}) == []
        (container,) = pod["containers"]
        assert set(environment(container)) - OURS - OTHERS == set()
        assert environment(container)["CROUPIER_STORE"] == "s3://croupier/shop"
        assert shown(container) == TOKEN
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
    assert groups(there)[0]["rayStartParams"]["num-cpus"] == "0"


def test_the_turns_and_its_clients_alone_may_send_jobs(there):
    turn = there["CronJob", "demo-shop-turn"]["spec"]["jobTemplate"]["spec"]["template"]
    told = environment(turn["spec"]["containers"][0])
    assert shown(turn["spec"]["containers"][0]) == TOKEN
    assert (told["CROUPIER_ENGINE"], told["CROUPIER_RAY"]) == ("ray", f"ray://{NAME}-head-svc:10001")
    policy = there["NetworkPolicy", NAME]["spec"]
    labels = [group["template"]["metadata"]["labels"] for group in groups(there)]
    assert all(policy["podSelector"]["matchLabels"].items() <= each.items() for each in labels)
    among, senders = policy["ingress"]
    assert among["from"] == [{"podSelector": policy["podSelector"]}]
    assert senders["ports"] == [{"protocol": "TCP", "port": 10001}]
    first, *rest = [one["podSelector"]["matchLabels"] for one in senders["from"]]
    assert first.items() <= turn["metadata"]["labels"].items()
    assert rest == [{"component": "worker"}]
    out = there["NetworkPolicy", "demo-shop-turn"]["spec"]["egress"]
    assert {"to": [{"podSelector": policy["podSelector"]}]} in out
    serving = there["StatefulSet", "demo-shop"]["spec"]["template"]["metadata"]["labels"]
    assert not policy["podSelector"]["matchLabels"].items() <= serving.items()


WRONG = [
    ({"ray": {"enabled": True}}, "turn.image: found no repository or no digest"),
    ({"ray": {"workers": {"replica": 2}}}, "replica"),
    ({"ray": {"version": "2.60"}}, "/ray/version"),
]


@pytest.mark.parametrize(("wrong", "named"), WRONG, ids=[str(w) for w, _ in WRONG])
def test_a_wrong_value_is_named(wrong, named, tmp_path):
    code, out, err = helm("template", "demo", chart=CHART, values=MINIMUM | wrong, folder=tmp_path)
    assert (code != 0, named in err) == (True, True), out + err
