"""What the chart names is there: commands, options, ports, settings, secrets, paths; in the code, and in compose alike."""

import copy
import inspect
import re
from functools import cache
from pathlib import Path

import pytest
import typer
import yaml

from croupier.features.settings import Settings
from croupier.serving.cli import app
from croupier.serving.commands.servers import exporter
from croupier.serving.triton import chosen_ports, server
from croupier.serving.triton.endpoint_security import EndpointSecurity
from tests.house.test_compose import COMPOSE, SERVICES
from tests.kubernetes_here import CHART, EVERYTHING, MINIMUM, ROOT, needs_helm, objects, rendered

pytestmark = [needs_helm, pytest.mark.medium]
OURS = {f"CROUPIER_{name.upper()}" for name in Settings.model_fields}
OTHERS = {"HOME", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GX_ANALYTICS_ENABLED"}
OTHERS |= {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"}  # Ray's own
SECRETS = {f"CROUPIER_{n.upper()}" for n, f in Settings.model_fields.items() if "SecretStr" in str(f.annotation)}


@pytest.fixture(scope="module")
def chart(tmp_path_factory):
    """Of both renderings: {(kind, name): object}; pods, and containers by name."""
    folder = tmp_path_factory.mktemp("chart")
    return {"minimum": objects(rendered(MINIMUM, folder)), "everything": objects(rendered(EVERYTHING, folder))}


def pods(there):
    for (kind, _), each in there.items():
        if kind == "StatefulSet":
            yield kind, each["spec"]["template"]["spec"], each
        if kind == "CronJob":
            yield kind, each["spec"]["jobTemplate"]["spec"]["template"]["spec"], each


def containers(there):
    return {c["name"]: c for _, pod, _ in pods(there) for c in [*pod["initContainers"], *pod["containers"]]}


def environment(container):
    return {each["name"]: each.get("value") for each in container.get("env", [])}


@cache
def commands():
    return typer.main.get_command(app)


def parsed(words):
    """The options of a command as the command line reads them. Raises what it says of a wrong one."""
    command, rest = commands(), list(words)
    context = command.make_context("croupier", [rest[0], "--help"][:1], resilient_parsing=True)
    while hasattr(command, "commands") or hasattr(command, "list_commands"):
        name = rest.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"no command {name!r}"
        command = found
    return command.make_context(command.name, rest).params


def called(there):
    """Every call of the command line that a container makes: [words]."""
    found = [c["command"] for c in containers(there).values() if c["command"][0] == "croupier"]
    probes = [c["readinessProbe"]["exec"]["command"] for c in containers(there).values() if "readinessProbe" in c]
    return [words[1:] for words in found + probes]


def test_every_command_is_one_that_the_command_line_reads(chart, monkeypatch):
    monkeypatch.setenv("CROUPIER_APP", "shop")
    there = {" ".join(words): parsed(words) for words in called(chart["everything"])}
    assert set(there) == {"ship --every 60", "release follow --every 1", "exporter --listen 0.0.0.0:9109",
                          "serve run --host 0.0.0.0", "serve health", "turn", "release begin"}  # fmt: skip
    assert there["ship --every 60"]["every"] == 60.0
    assert (there["ship --every 60"]["app"], there["exporter --listen 0.0.0.0:9109"]["app"]) == ("shop", ["shop"])
    with pytest.raises(Exception, match="No such option"):
        parsed(["ship", "--evry", "60"])


def test_every_setting_is_one_of_ours_and_can_be_read(chart, monkeypatch):
    for name, container in containers(chart["everything"]).items():
        given = environment(container)
        assert set(given) - OURS - OTHERS == set(), name
        for key, value in given.items():
            monkeypatch.setenv(key, value or "redis://secret-of-16-and-more")
        assert Settings().app == "shop"
        assert name == "declare" or Settings().store == "s3://croupier/shop"


def test_every_secret_comes_from_a_secret_and_is_told_in_the_values(chart):
    told = (CHART / "values.yaml").read_text()
    for there in chart.values():
        for container in containers(there).values():
            for each in container.get("env", []):
                secret = each["name"] in SECRETS | {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
                assert ("secretKeyRef" in each.get("valueFrom", {})) == secret, each
                if secret:
                    assert each["valueFrom"]["secretKeyRef"] == {"name": "croupier", "key": each["name"]}
                    assert each["name"] in told


def test_ports_are_those_of_the_server_and_of_the_exporter(chart, monkeypatch):
    there = chart["everything"]
    each = containers(there)
    monkeypatch.setenv("CROUPIER_TRITON", environment(each["triton"])["CROUPIER_TRITON"])
    ports = chosen_ports.known(Settings(app="shop"))
    named = {port["name"]: port["containerPort"] for c in each.values() for port in c.get("ports", [])}
    listens = int(each["exporter"]["command"][-1].rpartition(":")[2])
    assert named == {"grpc": ports.grpc, "metrics": ports.metrics, "app-metrics": listens}
    default = inspect.signature(exporter._exporter).parameters["listen"].default
    assert default == f"127.0.0.1:{listens}", "the port that monitoring/README.md says"
    for (kind, name), service in there.items():
        if kind == "Service":
            assert {p["name"]: p["port"] for p in service["spec"]["ports"]}.items() <= named.items(), name
            assert all(p["targetPort"] == p["name"] for p in service["spec"]["ports"])
    policy = there["NetworkPolicy", "demo-shop"]["spec"]["ingress"]
    assert [{p["port"] for p in rule["ports"]} for rule in policy] == [{ports.grpc}, {ports.metrics, listens}]
    image = (ROOT / "serving" / "triton" / "Dockerfile").read_text()
    assert {ports.grpc, ports.metrics} == {int(p) for p in re.search(r"^EXPOSE (.*)$", image, re.M)[1].split()}
    assert ports.http not in named.values(), "Triton has no TLS there"


def test_selectors_select(chart):
    for there in chart.values():
        (host,) = (pod for (kind, _), pod in there.items() if kind == "StatefulSet")
        labels = host["spec"]["template"]["metadata"]["labels"].items()
        assert host["spec"]["selector"]["matchLabels"].items() <= labels
        assert there["PodDisruptionBudget", "demo-shop"]["spec"]["selector"]["matchLabels"].items() <= labels
        assert there["NetworkPolicy", "demo-shop"]["spec"]["podSelector"]["matchLabels"].items() <= labels
        for name in ("demo-shop", "demo-shop-hosts"):
            assert there["Service", name]["spec"]["selector"].items() <= labels
        assert host["spec"]["serviceName"] == "demo-shop-hosts"
        assert (
            host["spec"]["template"]["spec"]["serviceAccountName"]
            == there["ServiceAccount", "demo-shop"]["metadata"]["name"]
        )
    scaled = chart["minimum"]["HorizontalPodAutoscaler", "demo-shop"]["spec"]
    assert scaled["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "demo-shop"}
    assert scaled["metrics"][0]["containerResource"]["container"] in containers(chart["minimum"])
    assert "replicas" not in chart["minimum"]["StatefulSet", "demo-shop"]["spec"], "the autoscaler's"
    turn = chart["everything"]["CronJob", "demo-shop-turn"]["spec"]["jobTemplate"]["spec"]["template"]["metadata"][
        "labels"
    ]
    assert (
        chart["everything"]["NetworkPolicy", "demo-shop-turn"]["spec"]["podSelector"]["matchLabels"].items()
        <= turn.items()
    )


def test_prometheus_is_told_what_the_example_says(chart):
    example = yaml.safe_load((ROOT / "serving" / "monitoring" / "prometheus.example.yml").read_text())
    jobs = {job["job_name"]: job for job in example["scrape_configs"]}
    monitor = chart["everything"]["ServiceMonitor", "demo-shop"]["spec"]
    service = chart["everything"]["Service", "demo-shop-hosts"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert (
        not monitor["selector"]["matchLabels"].items()
        <= chart["everything"]["Service", "demo-shop"]["metadata"]["labels"].items()
    )
    ends = {end["port"]: end for end in monitor["endpoints"]}
    assert set(ends) == {p["name"] for p in service["spec"]["ports"]} - {"grpc"}
    known = {
        "port",
        "path",
        "interval",
        "relabelings",
        "honorLabels",
    }  # of the operator's API, which no schema here knows
    assert all(set(end) <= known for end in ends.values())
    relabelled = {port: {r["targetLabel"]: r["replacement"] for r in end["relabelings"]} for port, end in ends.items()}
    assert relabelled == {"metrics": {"app": "shop", "job": "triton"}, "app-metrics": {"job": "croupier"}}
    assert {r["job"] for r in relabelled.values()} == set(jobs)
    assert ends["app-metrics"]["honorLabels"] == jobs["croupier"]["honor_labels"]


def test_who_leaves_is_drained_ends_and_ships(chart):
    """The server ends first, then the sidecars from the last to the first: the shipper is the first."""
    _, pod, _ = next(pods(chart["minimum"]))
    assert [c["name"] for c in pod["initContainers"]] == ["shipper", "follower", "exporter"]
    assert {c["restartPolicy"] for c in pod["initContainers"]} == {"Always"}
    (triton,) = pod["containers"]
    ending = triton["lifecycle"]["preStop"]["sleep"]["seconds"] + server.DRAIN_SECONDS
    assert pod["terminationGracePeriodSeconds"] >= ending + 20
    every = chart["minimum"]["HorizontalPodAutoscaler", "demo-shop"]["spec"]["behavior"]["scaleDown"]
    assert every["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 600}]
    assert every["stabilizationWindowSeconds"] == 1800


def closed(kind, pod):
    """What a pod may do that none of ours may: a list of words."""
    found = []
    if pod.get("automountServiceAccountToken") is not False:
        found.append("a token of the cluster")
    if pod["securityContext"].get("runAsNonRoot") is not True or not pod["securityContext"]["runAsUser"]:
        found.append("root")
    if pod["securityContext"].get("seccompProfile") != {"type": "RuntimeDefault"}:
        found.append("system calls")
    for each in [*pod["initContainers"], *pod["containers"]]:
        security = each.get("securityContext", {})
        if security.get("readOnlyRootFilesystem") is not True or security.get("allowPrivilegeEscalation") is not False:
            found.append(f"{each['name']}: root file system, privileges")
        if security.get("capabilities") != {"drop": ["ALL"]} or security.get("privileged"):
            found.append(f"{each['name']}: capabilities")
        if "memory" not in each["resources"]["limits"] or set(each["resources"]["requests"]) != {"cpu", "memory"}:
            found.append(f"{each['name']}: resources")
        if not re.fullmatch(r"\S+@sha256:[0-9a-f]{64}", each["image"]):
            found.append(f"{each['name']}: an image that may change")
    if {v for v in ("hostNetwork", "hostPID", "hostIPC") if pod.get(v)} or any("hostPath" in v for v in pod["volumes"]):
        found.append("the host")
    return found


def test_no_pod_may_do_more_than_it_must(chart):
    for there in chart.values():
        for kind, pod, _ in pods(there):
            assert closed(kind, pod) == []


@pytest.mark.parametrize("plant", [
    lambda pod: pod["containers"][0]["securityContext"].update(readOnlyRootFilesystem=False),
    lambda pod: pod["initContainers"][0]["securityContext"].pop("capabilities"),
    lambda pod: pod["securityContext"].update(runAsNonRoot=False),
    lambda pod: pod.update(hostNetwork=True),
    lambda pod: pod["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
    lambda pod: pod["containers"][0].update(image="croupier-triton:latest"),
    lambda pod: pod["containers"][0]["resources"].pop("limits") and pod["containers"][0]["resources"].update(limits={}),
])  # fmt: skip
def test_a_planted_right_is_seen(chart, plant):
    kind, pod, _ = next(pods(chart["everything"]))
    pod = copy.deepcopy(pod)
    plant(pod)
    assert len(closed(kind, pod)) == 1


def test_every_path_is_on_a_volume_that_holds_it(chart):
    for there in chart.values():
        for _, pod, owner in pods(there):
            volumes = {v["name"]: v for v in pod["volumes"]}
            volumes |= {c["metadata"]["name"]: c for c in owner["spec"].get("volumeClaimTemplates", [])}
            for each in [*pod["initContainers"], *pod["containers"]]:
                mounts = {m["mountPath"]: m for m in each["volumeMounts"]}
                assert {m["name"] for m in mounts.values()} <= set(volumes), each["name"]
                for name, value in environment(each).items():
                    if value and value.startswith("/"):
                        above = [p for p in mounts if value == p or value.startswith(f"{p}/")]
                        assert len(above) == 1, (each["name"], name, value)
                        writes = name in ("HOME", "CROUPIER_VAR")
                        assert writes != mounts[above[0]].get("readOnly", False), name
            for volume in volumes.values():
                for kind, field in (("configMap", "name"), ("secret", "secretName")):
                    if kind in volume and volume[kind][field] == "demo-shop":
                        assert ("ConfigMap", "demo-shop") in there


def test_the_doors_of_the_pod_are_those_of_compose(chart):
    """The same command, and the same settings, but for those that have a reason."""
    here, compose = containers(chart["everything"]), SERVICES["triton"]
    assert here["triton"]["command"] == compose["command"]
    assert here["triton"]["readinessProbe"]["exec"]["command"] == compose["healthcheck"]["test"][1:]
    ours, theirs = set(environment(here["triton"])), set(compose["environment"])
    assert theirs - ours == {"CROUPIER_SIGNING_KEY"}, "who serves does not sign"
    assert ours - theirs == {"CROUPIER_HOST", "CROUPIER_SPOOL_MAX_BYTES", "CROUPIER_PATIENCE_MS"}
    for name in ("shipper", "follower"):
        assert here[name]["command"] == SERVICES[name]["command"]
    turn = set(environment(here["turn"])) - {"HOME", "GX_ANALYTICS_ENABLED"}
    assert turn - set(COMPOSE["x-airflow"]["environment"]) == set()
    assert (
        int(SERVICES["triton"]["user"].partition(":")[0])
        == next(pods(chart["minimum"]))[1]["securityContext"]["runAsUser"]
    )


def test_the_certificates_suffice_to_listen_beyond_loopback(chart, tmp_path, monkeypatch):
    given = environment(containers(chart["everything"])["triton"])
    files = {Path(value).name for name, value in given.items() if name.startswith("CROUPIER_TLS") and value[0] == "/"}
    assert files == {"ca.crt", "server.crt", "server.key"}, "what `croupier keys tls` makes"
    for name, value in given.items():
        if name.startswith("CROUPIER_TLS"):
            (tmp_path / Path(value).name).touch()
            monkeypatch.setenv(name, str(tmp_path / Path(value).name) if value[0] == "/" else value)
    monkeypatch.setenv("CROUPIER_TOKEN", "a-token-of-16-and-more")
    security = EndpointSecurity.of(Settings())
    security.refuse_exposure("0.0.0.0")
    assert "--grpc-use-ssl-mutual=true" in security.arguments()
