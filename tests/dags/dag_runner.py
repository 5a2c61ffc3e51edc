"""A server of DAG runs: it imports what all runs need, parses the DAGs and builds the API that tasks speak to, once, and
answers each request in a fork of its own, as Airflow's executors do. It is a process of its own, because Airflow reads
its settings at import.

Each line of its input is a request, {"arguments": [...], "out": FILE, "said": FILE, "env": {...}}; it prints `done` after
each.
["parse"]                     → {"errors": {...}, "seconds": {file: s}, "tasks": {dag: [...]}}
["test", DAG_ID, {"app": …}]  → {"state": …, "tasks": {id: state}, "returned": {id: value}}
["links", DAG, RUN, TASK]     → {"Report": "/croupier/…"}: the buttons that the UI gets for a task
"""

import asyncio
import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[2]
SHARED = ("airflow.dag_processing.dagbag", "croupier.models.training", "croupier.models.bayesian.neural_linear")
SHARED += ("croupier.features.build", "great_expectations")


def bag():
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=str(ROOT / "dags"))


def parse():
    bag()  # the first parse pays for importing Airflow itself
    parsed = bag()
    return {
        "errors": parsed.import_errors,
        "seconds": {Path(s.file).name: s.duration.total_seconds() for s in parsed.dagbag_stats},
        "tasks": {name: sorted(dag.task_ids) for name, dag in parsed.dags.items()},
        "docs": {name: dag.doc_md or "" for name, dag in parsed.dags.items()},
    }


def test(dag_id, conf):
    dag = bag().dags[dag_id]
    run = dag.test(run_conf=conf)
    instances = run.get_task_instances()
    returned = {}
    for ti in instances:
        value = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index, key="return_value")
        returned.setdefault(ti.task_id, []).append(value)
    names = [f"{ti.task_id}[{ti.map_index}]" if ti.map_index >= 0 else ti.task_id for ti in instances]
    return {
        "state": str(run.state),
        "tasks": {name: str(ti.state) for name, ti in zip(names, instances, strict=True)},
        "named": {name: ti.rendered_map_index for name, ti in zip(names, instances, strict=True) if ti.map_index >= 0},
        "run": run.run_id,
        "returned": {name: values if len(values) > 1 else values[0] for name, values in returned.items()},
    }


def links(dag, run, task):
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    with TestClient(create_app(apps="core"), base_url="http://127.0.0.1") as client:
        token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="ann", role="admin"))
        path = f"/api/v2/dags/{dag}/dagRuns/{quote(run)}/taskInstances/{task}/links"
        return client.get(path, headers={"Authorization": f"Bearer {token}"}).json()["extra_links"]


def answer(arguments, out, said, env):
    """In the fork: what the request asks for, into `out`; everything printed goes into `said`. `env` is its own."""
    os.environ.update(env)
    for number, file in ((0, os.open(os.devnull, os.O_RDONLY)), *((n, os.open(said, os.O_WRONLY)) for n in (1, 2))):
        os.dup2(file, number)
    verb, *rest = arguments
    Path(out).write_text(json.dumps({"parse": parse, "test": test, "links": links}[verb](*rest), default=str))


async def built():
    """The API in which every task's run is told of is built at its first request, which takes seconds of CPU: a request
    for no page of it, which touches no database, here, instead of one in each fork."""
    from airflow.sdk.execution_time.supervisor import in_process_api_server
    from httpx import ASGITransport, AsyncClient

    async with AsyncClient(
        transport=ASGITransport(app=in_process_api_server().app), base_url="http://in-process"
    ) as client:
        assert (await client.get("/no-such-page")).status_code == 404


def warmed():
    """What SQLAlchemy makes of Airflow's tables at their first use takes a second and a half of CPU: here, instead of in
    each fork. Neither polars nor the database may be used here: their threads and connections are not there in a fork."""
    from sqlalchemy.orm import configure_mappers

    configure_mappers()


def serve():
    for name in SHARED:
        importlib.import_module(name)
    bag()
    warmed()
    asyncio.run(built())
    for line in sys.stdin:
        if not (child := os.fork()):
            try:
                answer(**json.loads(line))
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(0)
        os.waitpid(child, 0)
        print("done", flush=True)


if __name__ == "__main__":
    serve()
