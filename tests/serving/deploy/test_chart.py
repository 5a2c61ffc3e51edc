"""The Helm chart by Helm and by Kubernetes' own schemas; and that both see what is planted."""

import json
import shutil

import pytest
import yaml

from tests.kubernetes_here import CHART, EVERYTHING, MINIMUM, helm, needs_helm, objects, rendered, validated

pytestmark = [needs_helm, pytest.mark.medium]
BOTH = {"minimum": MINIMUM, "everything": EVERYTHING}


def test_helm_and_kubernetes_find_nothing_wrong(tmp_path):
    for values in BOTH.values():
        code, out, err = helm("lint", "--strict", values=values, folder=tmp_path)
        assert (code, "0 chart(s) failed" in out + err) == (0, True), out + err
    said = validated({name: rendered(values, tmp_path) for name, values in BOTH.items()}, tmp_path)
    assert said["minimum"] == []
    assert len(said["everything"]) == 1, said
    assert "Couldn't find schema for kind ServiceMonitor" in said["everything"][0]


def test_what_is_rendered(tmp_path):
    names = {"minimum": {kind for kind, _ in objects(rendered(MINIMUM, tmp_path))}}
    names["everything"] = {kind for kind, _ in objects(rendered(EVERYTHING, tmp_path))}
    always = {"StatefulSet", "Service", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy"}
    assert names["minimum"] == always | {"HorizontalPodAutoscaler"}
    assert names["everything"] == always | {"ServiceMonitor", "ConfigMap", "CronJob"}


PLANTED = {  # a misspelt or misplaced field in each template
    "statefulset.yaml": [("terminationGracePeriodSeconds:", "terminationGraceSeconds:"), ("readinessProbe:", "readynessProbe:"),
                         ("preStop: { sleep: { seconds:", "preStop: { sleep: { second:"), ("maxSkew:", "maxskew:")],
    "_helpers.tpl": [("readOnlyRootFilesystem:", "readOnlyRootFileSystem:"), ("runAsNonRoot: true", 'runAsNonRoot: "yes"'),
                     ("restartPolicy: Always", "restart: Always"), ("secretKeyRef:", "secretRef:")],
    "services.yaml": [("clusterIP: None", "clusterIp: None")],
    "serviceaccount.yaml": [("automountServiceAccountToken: false", "automountToken: false")],
    "poddisruptionbudget.yaml": [("maxUnavailable:", "maxUnavailble:")],
    "horizontalpodautoscaler.yaml": [("averageUtilization:", "averageUtilisation:"), ("selectPolicy: Max", "selectPolicies: Max")],
    "networkpolicy.yaml": [("policyTypes: [Ingress, Egress]", "policyType: [Ingress, Egress]")],
    "cronjob.yaml": [("concurrencyPolicy: Forbid", "concurrencyPolicies: Forbid"), ("restartPolicy: Never", "restartPolicy: [Never]")],
}  # fmt: skip
EACH = {f"{file}-{i}": (file, *plant) for file, plants in PLANTED.items() for i, plant in enumerate(plants)}


def test_a_planted_field_is_seen_wherever_it_is(tmp_path):
    texts = {}
    for name, (file, right, wrong) in EACH.items():
        chart = tmp_path / name
        shutil.copytree(CHART, chart)
        path = chart / "templates" / file
        assert right in path.read_text()
        path.write_text(path.read_text().replace(right, wrong))
        values = EVERYTHING | ({"autoscaling": {"enabled": True}} if "autoscaler" in file else {})
        texts[name] = rendered(values, tmp_path, chart=chart)
    said = validated(texts, tmp_path)
    seen = {name for name, lines in said.items() if any("ServiceMonitor" not in line for line in lines)}
    assert seen == set(EACH)


def test_nothing_is_rendered_before_the_image_and_the_store_are_said(tmp_path):
    code, _, err = helm("template", "demo", values={}, folder=tmp_path)
    assert code != 0
    assert all(f"'/{where}'" in err for where in ("image/repository", "image/digest", "store/url")), err


WRONG = [
    ({"trition": {}}, "trition"),
    ({"triton": {"replica": 3}}, "replica"),
    ({"triton": {"replicas": "three"}}, "/triton/replicas"),
    ({"triton": {"resources": {"limit": {"memory": "1Gi"}}}}, "limit"),
    ({"triton": {"extraEnv": {"CROUPIER_PATIENCE_MS": 40}}}, "CROUPIER_PATIENCE_MS"),
    ({"triton": {"extraEnv": {"PATIENCE": "40"}}}, "PATIENCE"),
    ({"triton": {"graceSeconds": 40}}, "triton.graceSeconds: found 40, expected 30 more than triton.drainSeconds (15)"),
    (
        {"triton": {"extraEnv": {"CROUPIER_STORE": "s3://o/x"}}},
        "triton.extraEnv: found CROUPIER_STORE, which the chart",
    ),
    ({"autoscaling": {"minReplicas": 9, "maxReplicas": 2}}, "autoscaling.maxReplicas: found 2, expected"),
    ({"app": "My-Shop"}, "/app"),
    ({"image": {"digest": "latest"}}, "/image/digest"),
    ({"store": {"url": "/var/store"}}, "/store/url"),
    ({"store": {"endpoint": "http://store:8333"}}, "networkPolicy.storePorts: found no 8333, expected it"),
    ({"autoscaling": {"scaleDown": {"stabilizationSeconds": 7200}}}, "/autoscaling/scaleDown/stabilizationSeconds"),
    ({"turn": {"enabled": True}}, "declaration.appToml: found nothing, expected the app's app.toml"),
    ({"turn": {"enabled": True}, "declaration": {"appToml": "x = 1"}}, "turn.image: found no repository or no digest"),
]


@pytest.mark.parametrize(("wrong", "named"), WRONG, ids=[str(w)[:48] for w, _ in WRONG])
def test_a_wrong_value_is_named(wrong, named, tmp_path):
    merged = {
        key: {**MINIMUM.get(key, {}), **value} if isinstance(value, dict) else value for key, value in wrong.items()
    }
    code, out, err = helm("template", "demo", values=MINIMUM | merged, folder=tmp_path)
    assert (code != 0, named in err) == (True, True), out + err


def keys(value, path=""):
    for key, below in value.items() if isinstance(value, dict) else ():
        yield f"{path}/{key}"
        yield from keys(below, f"{path}/{key}")


def declared(schema, path=""):
    for key, below in schema.get("properties", {}).items():
        yield f"{path}/{key}"
        yield from declared(below, f"{path}/{key}")


def test_what_the_chart_sets_for_each_host_is_no_more_setting_of_ones_own(tmp_path):
    """Of two variables of one name the last counts."""
    found = objects(rendered(MINIMUM, tmp_path)).items()
    (pod,) = (each["spec"]["template"]["spec"] for (kind, _), each in found if kind == "StatefulSet")
    (triton,) = (each for each in pod["containers"] if each["name"] == "triton")
    always = {each["name"] for each in triton["env"]} - {"HOME", "AWS_DEFAULT_REGION"}
    for name in sorted(name for name in always if name.startswith("CROUPIER_") and name != "CROUPIER_REDIS"):
        values = MINIMUM | {"triton": {"extraEnv": {name: "x"}}}
        code, _, err = helm("template", "demo", values=values, folder=tmp_path)
        assert (code != 0, name in err) == (True, True), err  # CROUPIER_S3_ENDPOINT: by the pattern of names


def test_each_value_has_a_rule_and_each_rule_a_value():
    """Free objects (resources, selectors) are Kubernetes' own."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    given, known = set(keys(yaml.safe_load((CHART / "values.yaml").read_text()))), set(declared(schema)) - {"/global"}
    assert known - given == set()
    assert {
        path for path in given - known if not any(f"/{free}/" in path for free in ("resources", "nodeSelector"))
    } == set()
