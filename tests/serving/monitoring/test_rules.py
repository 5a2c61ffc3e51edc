"""Rules, dashboard and examples: valid by Prometheus' own tools, and about metrics that there are."""

import json
import re
import subprocess
from itertools import combinations
from pathlib import Path

import jsonschema
import pytest
import yaml

from croupier.serving.decide.metrics import METRICS
from croupier.serving.monitoring.metrics import EXPORTED
from tests.prometheus_here import AMTOOL, GIVEN, PROMTOOL, needs_tools

RULES, DASHBOARD = GIVEN / "rules.yml", GIVEN / "dashboard.json"
README = (GIVEN / "README.md").read_text()
UNIT_TESTS = Path(__file__).parent / "rules_test.yml"
NAME = re.compile(r"\bcroupier[_:][a-z0-9_:]*[a-z0-9]\b")


def rules():
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


ALERTS = [rule for rule in rules() if "alert" in rule]
RECORDED = {rule["record"] for rule in rules() if "record" in rule}


def panels(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions():
    dashboard = json.loads(DASHBOARD.read_text())
    shown = [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]
    asked = [v["query"]["query"] for v in dashboard["templating"]["list"] if v["type"] == "query"]
    return [rule["expr"] for rule in rules()] + shown + asked


def unknown(expression, known):
    return sorted(set(NAME.findall(expression)) - known)


def test_every_metric_that_is_asked_for_is_exported():
    known = set(METRICS) | set(EXPORTED) | RECORDED
    assert [found for expression in expressions() if (found := unknown(expression, known))] == []
    assert len(expressions()) > 50


@pytest.mark.parametrize("planted", [
    "croupier_health_verdicts == 2", "rate(croupier_decision_total[5m])", "croupier:fallbacks:ratio1m > 0.01",
    'sum by (app) (croupier_log_bytes) / croupier_log_bytes_max{app="shop"}',
])  # fmt: skip
def test_a_planted_metric_is_seen(planted):
    assert len(unknown(planted, set(METRICS) | set(EXPORTED) | RECORDED)) == 1


def test_only_labels_that_a_metric_has_are_asked_for():
    """`croupier_log_bytes{role="x"}` would be an alarm that never comes."""
    table, wrong = METRICS | EXPORTED, []
    for expression in expressions():
        for name, matchers in re.findall(r"\b(croupier_[a-z_]+)\{([^}]*)\}", expression):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!=|=)", matchers))
            wrong += [(name, label) for label in labels - set(table[name].labels) - {"app"}]
    assert wrong == []


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alarm_says_cause_remedy_and_page(rule):
    said = rule["annotations"]
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(said) == {"summary", "description", "page"}
    assert min(len(said["summary"]), len(said["description"])) > 25
    assert said["page"].startswith("http://127.0.0.1:8080/croupier/")
    assert f"| {rule['alert']} |" in README, "the table of alarms has it"


def test_the_readme_has_every_metric_with_its_labels():
    rows = dict(re.findall(r"^\| `(croupier_\w+)` \| ([^|]*) \|", README, re.M))
    expected = {name: ", ".join(metric.labels[1:]) for name, metric in EXPORTED.items()}
    assert {name: labels.strip() for name, labels in rows.items()} == expected


@needs_tools
def test_promtool_finds_rules_and_examples_valid():
    def checked(*command):
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    code, said = checked(PROMTOOL, "check", "rules", RULES)
    assert (code, f"SUCCESS: {len(rules())} rules found" in said) == (0, True), said
    code, said = checked(PROMTOOL, "check", "config", GIVEN / "prometheus.example.yml")
    assert (code, "is valid prometheus config" in said) == (0, True), said
    code, said = checked(AMTOOL, "check-config", GIVEN / "alertmanager.example.yml")
    assert (code, "SUCCESS" in said) == (0, True), said


def unit_tested(folder, text):
    (folder / "rules.yml").write_text(text)
    (folder / "tests.yml").write_text(UNIT_TESTS.read_text().replace("RULES", "rules.yml"))
    done = subprocess.run(
        [PROMTOOL, "test", "rules", "tests.yml"], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.medium
@needs_tools
def test_the_rules_pass_their_unit_tests(tmp_path):
    code, said = unit_tested(tmp_path, RULES.read_text())
    assert (code, "SUCCESS" in said) == (0, True), said


@pytest.mark.medium
@needs_tools
@pytest.mark.parametrize(("now", "planted"), [
    ("croupier_log_unshipped_age_seconds > 1800", "croupier_log_unshipped_age_seconds > 86400"),
    ("min by (app) (croupier_log_expected_rewards)", "max by (app) (croupier_log_expected_rewards)"),
    ("croupier_breaker_open == 1", "croupier_breaker_open == 2"),
    ("unless on (app, watch) croupier_health_silenced == 1", "unless on (app) croupier_health_silenced == 1"),
    ("> 600 and on (app) croupier_rollout_running == 1", "> 600"),
    ("max by (app) (croupier_rollout_held)", "croupier_rollout_held"),
    ("croupier:fallbacks:ratio5m > 0.01", "croupier:fallbacks:ratio5m > 0.1"),
])  # fmt: skip
def test_a_planted_error_in_a_rule_fails_a_unit_test(tmp_path, now, planted):
    text = RULES.read_text()
    assert now in text
    assert unit_tested(tmp_path, text.replace(now, planted))[0] == 1


def of(kind, **more):
    return {"type": kind} | more


DATASOURCE = of("object", required=["type", "uid"])
TARGET = of(
    "object", required=["refId", "expr", "legendFormat", "datasource"], properties={"expr": of("string", minLength=5)}
)
GRID = of("object", required=["h", "w", "x", "y"], properties={"w": of("integer", minimum=1, maximum=24), "x": of("integer", minimum=0, maximum=23)})  # fmt: skip
PANEL = of(
    "object", required=["id", "type", "title", "gridPos"],
    properties={"id": of("integer"), "type": {"enum": ["row", "stat", "timeseries"]}, "title": of("string", minLength=3), "gridPos": GRID},
    **{"if": {"properties": {"type": {"const": "row"}}}, "else": {
        "required": ["targets", "datasource", "fieldConfig", "options", "description"],
        "properties": {"targets": of("array", minItems=1, items=TARGET), "datasource": DATASOURCE,
                       "fieldConfig": of("object", required=["defaults", "overrides"])}}},
)  # fmt: skip
SCHEMA = of(
    "object", required=["title", "uid", "schemaVersion", "panels", "templating", "time", "timezone", "tags", "refresh", "annotations"],
    properties={"uid": of("string", maxLength=40), "schemaVersion": of("integer", minimum=36), "panels": of("array", items=PANEL),
                "id": {"const": None},
                "templating": of("object", properties={"list": of("array", items=of("object", required=["name", "type", "query"]))})},
)  # fmt: skip


def overlapping(dashboard):
    def apart(a, b):
        return (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )

    pairs = combinations(dashboard["panels"], 2)
    return [(a["title"], b["title"]) for a, b in pairs if not apart(a["gridPos"], b["gridPos"])]


def test_the_dashboard_has_the_main_fields_of_grafanas_schema():
    dashboard = json.loads(DASHBOARD.read_text())
    jsonschema.validate(dashboard, SCHEMA)
    assert overlapping(dashboard) == []
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids)) > 25
    for panel in panels(dashboard):
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs))
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    names = {"$" + variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\w+", DASHBOARD.read_text()))
    assert used == names


def test_a_panel_without_a_query_is_seen():
    dashboard = json.loads(DASHBOARD.read_text())
    panels(dashboard)[3]["targets"] = []
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(dashboard, SCHEMA)
