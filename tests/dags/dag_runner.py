"""Run in a process of its own (Airflow reads its settings at import): parse the DAGs, or `dag.test()` one of them.

python dag_runner.py parse                      → {"errors": {...}, "seconds": {file: s}, "tasks": {dag: [...]}}
python dag_runner.py test DAG_ID '{"app": …}'   → {"state": …, "tasks": {id: state}, "returned": {id: value}}
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


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


if __name__ == "__main__":
    answer = parse() if sys.argv[1] == "parse" else test(sys.argv[2], json.loads(sys.argv[3]))
    Path(sys.argv[-1]).write_text(json.dumps(answer, default=str))
