"""The values for Airflow's own chart, which is not to be had here: what they name is in croupier's chart, in compose and in
the code, and no key is beside those that Airflow's chart documents."""

from pathlib import Path

import pytest
import yaml

from croupier.features.settings import Settings
from tests.house.test_compose import COMPOSE
from tests.kubernetes_here import CHART, EVERYTHING, ROOT, needs_helm, objects, rendered

VALUES = yaml.safe_load((ROOT / "serving" / "deploy" / "airflow.values.yaml").read_text())
# of the values.yaml of Airflow's chart for Airflow 3.1, read in the repository of Airflow in November 2026
KNOWN = {
    "airflowVersion", "images", "executor", "data", "fernetKeySecretName", "apiSecretKeySecretName", "jwtSecretName",
    "postgresql", "redis", "env", "secret", "volumes", "volumeMounts", "securityContexts", "workers",
}  # fmt: skip
BUILT_IN = {  # what Airflow's chart sets by itself from the secrets that the values name
    "AIRFLOW__CORE__EXECUTOR", "AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__API__SECRET_KEY",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CELERY__RESULT_BACKEND", "AIRFLOW__CELERY__BROKER_URL",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "AIRFLOW_HOME", "AIRFLOW__LOGGING__BASE_LOG_FOLDER",
}  # fmt: skip
NOT_HERE = {  # of compose: tasks call no server here, since each host follows by itself
    "CROUPIER_TRITON", "CROUPIER_TOKEN", "CROUPIER_TLS_ROOT", "CROUPIER_TLS_NAME", "CROUPIER_SIGNING_KEY", "CROUPIER_VERIFY_KEY",
}  # fmt: skip


def test_the_keys_are_known():
    assert set(VALUES) == KNOWN
    assert set(VALUES["images"]["airflow"]) == {"repository", "digest"}


def test_airflow_is_told_what_compose_tells_it():
    plain = {each["name"]: each["value"] for each in VALUES["env"]}
    secret = {each["envName"] for each in VALUES["secret"]}
    compose = COMPOSE["x-airflow"]["environment"]
    assert set(compose) - set(plain) - secret == BUILT_IN | NOT_HERE
    assert set(plain) - set(compose) == {"HOME"}
    same = {name for name in plain if name.startswith(("AIRFLOW", "GX"))} | {"CROUPIER_VAR"}
    assert {name: plain[name] for name in same} == {name: compose[name] for name in same}
    ours = {f"CROUPIER_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in (*plain, *secret) if name.startswith("CROUPIER_")} <= ours
    assert VALUES["executor"] == compose["AIRFLOW__CORE__EXECUTOR"]
    assert (ROOT / Path(plain["AIRFLOW__CORE__DAGS_FOLDER"]).relative_to("/croupier")).is_dir()


def test_the_version_is_that_of_the_image():
    lock = (ROOT / "locks" / "airflow.lock").read_text()
    assert f"apache-airflow=={VALUES['airflowVersion']} " in lock


def test_mounts_have_volumes_and_the_folder_of_the_app_is_no_files_parent_alone():
    volumes, mounts = {v["name"] for v in VALUES["volumes"]}, VALUES["volumeMounts"]
    assert {m["name"] for m in mounts} == volumes
    paths = [m["mountPath"] for m in mounts]
    for mount in mounts:
        if "subPath" in mount:
            assert str(Path(mount["mountPath"]).parent) in paths, "else it is root's"


@needs_helm
@pytest.mark.medium
def test_the_secret_and_the_declaration_are_those_of_the_chart(tmp_path):
    """Installed as `helm install croupier …` for the app `shop`."""
    there = objects(rendered(EVERYTHING, tmp_path))
    (declared,) = (each for (kind, _), each in there.items() if kind == "ConfigMap")
    named = {m["subPath"] for m in VALUES["volumeMounts"] if "subPath" in m}
    assert named == set(declared["data"])
    (volume,) = (v for v in VALUES["volumes"] if "configMap" in v)
    assert volume["configMap"]["name"] == declared["metadata"]["name"].replace("demo", "croupier")
    secret = yaml.safe_load((CHART / "values.yaml").read_text())["secret"]["name"]
    assert {each["secretName"] for each in VALUES["secret"]} == {secret}
