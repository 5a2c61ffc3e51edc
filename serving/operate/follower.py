"""What the supervisor of `croupier serve` does beside keeping Triton up: it releases a changed catalogue.json.

The `watch_rollout` DAG looks each minute, too. Here a look costs a `stat` until the file has changed, so it is made
every few seconds, and a host without Airflow has it as well. The release is made in a process of its own: a supervisor
that holds the libraries of store and encoder would be ten times as large.
"""

import subprocess
import sys
import threading
from pathlib import Path

EVERY_SECONDS, AGAIN_SECONDS = 5.0, 30.0
NOT_RELEASED = "not released"


class CatalogueFollower:
    """Looks until it is closed. A catalogue that was not released is tried again after AGAIN_SECONDS."""

    def __init__(self, home: Path, every: float = EVERY_SECONDS) -> None:
        self._home, self._every, self._ended = home, every, threading.Event()
        self._seen: tuple[int, int] | None = None
        self._release: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="catalogue-follower", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        pause = self._every
        while not self._ended.wait(pause):
            try:
                pause = self._look()
            except OSError as error:  # no process, no file: the supervisor goes on
                print(f"the catalogue was not looked at: {error}", flush=True)
                pause = AGAIN_SECONDS

    def _look(self) -> float:
        """Returns the pause until the next look, in seconds."""
        found = _stamp(self._home / "catalogue.json")
        if found is None or found == self._seen:
            return self._every
        command = [sys.executable, "-m", "croupier.serving.operate.follower", str(self._home)]
        self._release = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        said = self._release.communicate()[0].strip()
        if said:
            print(f"catalogue: {said}", flush=True)
        if self._release.returncode or said.startswith(NOT_RELEASED):
            return AGAIN_SECONDS
        self._seen = found
        return self._every

    def close(self) -> None:
        """Ends a release under way, too: its steps are each whole or did not happen."""
        self._ended.set()
        if self._release is not None:
            self._release.terminate()
        self._thread.join()


def released(home: Path) -> str:
    """Looks once at the app of this folder and says what it did; "" where nothing had changed."""
    from croupier.features.clock import now_us
    from croupier.features.settings import Settings
    from croupier.features.workspace import Workspace
    from croupier.serving.operate import catalogue_release

    return catalogue_release.look(Workspace(Settings(var=home.parent, app=home.name)), now_us())


def _stamp(path: Path) -> tuple[int, int] | None:
    """Changes with the file's content; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


if __name__ == "__main__":
    print(released(Path(sys.argv[1])))
