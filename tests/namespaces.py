"""Linux namespaces for tests: commands that have networks, processes and a name of their own.

What runs there ends with the first process of its namespace, however it was started, and takes no port of this machine's.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence

UNSHARE = (
    "unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--mount-proc", "--kill-child",
)  # fmt: skip


def alone(command: Sequence[str]) -> list[str]:
    """Returns the command that runs this one in namespaces of its own; bash is its init, and reaps what is left."""
    return [*UNSHARE, "bash", "-c", '"$@"; exit $?', "alone", *command]


def refused() -> str:
    """Why no namespaces can be made here; "" where they can."""
    if os.geteuid():
        return "found no root, expected it: namespaces, mounts and users are what a container engine would make"
    if lacking := [tool for tool in ("unshare", "ip") if shutil.which(tool) is None]:
        return f"found no {' and no '.join(lacking)}, expected util-linux and iproute2"
    done = subprocess.run(alone(["ip", "link"]), check=False, capture_output=True, text=True)
    return f"namespaces cannot be made here: {done.stderr.strip()}" if done.returncode else ""
