"""The notebooks beside this file run from their first cell to their last in a real kernel, in an empty folder."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

pytestmark = [
    pytest.mark.slow,
    # of the kernel's own packages: what they will do one day
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"),
]
HERE = Path(__file__).resolve().parent


def run(book, folder):
    NotebookClient(book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    return [cell for cell in book.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("name", sorted(path.name for path in HERE.glob("*.ipynb")))
def test_a_notebook_runs(tmp_path, monkeypatch, name):
    """Its cells assert the numbers; here what a reader is shown besides."""
    monkeypatch.delenv("CROUPIER_VAR", raising=False)
    cells = run(nbformat.read(HERE / name, as_version=4), tmp_path)
    shown = ["".join(out.get("data", {}).get("text/html", "") for out in cell.outputs) for cell in cells]
    assert "arm:sea: 6,000 rows" in shown[1]
    assert "standard_error" in shown[1]
    assert "column banner is the arm" in shown[3]
    assert "trips: imported" in shown[4]
    assert (tmp_path / "var" / "trips" / "app.toml").exists()
    assert not any(out.get("name") == "stderr" for cell in cells for out in cell.outputs)


def test_a_wrong_number_fails_the_notebook(tmp_path):
    book = nbformat.read(HERE / "own_log.ipynb", as_version=4)
    book.cells[1].source = book.cells[1].source.replace("0.30, 0.10", "0.10, 0.60")
    with pytest.raises(CellExecutionError, match="AssertionError"):
        run(book, tmp_path)
