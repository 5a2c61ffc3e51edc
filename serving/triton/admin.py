"""The secret that Triton's administration asks for.

Whoever may load a model may run code on this machine: Triton's load call takes files. So its model repository, shared
memory, trace and log calls answer only to a secret of this installation, `<home>/triton.secret` (mode 0600), on both
ports. `publish` and the trial send it; nobody else does. It stands in the server's command line, as Triton has no
other way to be told: mount /proc with hidepid=2 where other users share the machine.
"""

from pathlib import Path

from croupier.features.store import key_file, layout
from croupier.serving.contract.access import GRPC_PREFIX

RESTRICTED = "model-repository,shared-memory,trace,logging"
HTTP_HEADER = "croupier-admin"
GRPC_HEADER = f"{GRPC_PREFIX}{HTTP_HEADER}"


def secret(home: Path) -> str:
    """The installation's secret, made at first use. Raises ValueError when others may read it."""
    return key_file.read_or_make(home.absolute() / layout.TRITON_SECRET)


def arguments(home: Path) -> list[str]:
    """What tritonserver must be started with."""
    given = f"{HTTP_HEADER}={secret(home)}"
    return [
        f"--http-restricted-api={RESTRICTED}:{given}",
        f"--grpc-restricted-protocol={RESTRICTED}:{given}",
        "--allow-sagemaker=false",
        "--allow-vertex-ai=false",  # other ways to the same calls
    ]


def headers(home: Path) -> dict[str, str]:
    """What a gRPC call to the administration must carry."""
    return {GRPC_HEADER: secret(home)}
