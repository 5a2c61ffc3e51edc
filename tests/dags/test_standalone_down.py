"""`make down` says what it stopped, and where it found nothing."""

import subprocess

from croupier.dags.local import standalone
from croupier.serving.triton.processes import record


def test_down_says_what_it_stopped_and_when_it_found_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    standalone.main("down")
    assert capsys.readouterr().out.startswith(f"nothing of ours ran under {tmp_path};")
    (tmp_path / "airflow").mkdir()
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    record(tmp_path / "airflow" / "standalone.pid", process.pid)
    standalone.main("down")
    assert capsys.readouterr().out == f"stopped Airflow of {tmp_path / 'airflow'}\n"
    process.wait(5)  # would raise, if it still ran
