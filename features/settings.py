"""Every setting, from CROUPIER_* environment variables, with unit and default.

Settings say *where* and *how fast*; what a bandit is (features, reward, policies) stands in its `app.toml`, see
`features/spec.py`. One machine can hold several apps side by side under `var`.
"""

import socket
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

JOIN_ROWS = 1_000_000
APP_NAME = r"^[a-z][a-z0-9_]*$"  # also of a folder, and of a part of Triton's names


class Settings(BaseSettings):
    """Read once at the edge (CLI, DAG task, Triton's initialize) and passed in."""

    model_config = SettingsConfigDict(env_prefix="CROUPIER_", frozen=True, extra="ignore", env_ignore_empty=True)

    var: Path = Field(Path("var"), description="everything of ours that lives at run time")
    app: str = Field("default", pattern=APP_NAME, description="which bandit, a folder under var")
    store: str = Field("", description="folder or s3://bucket/prefix; empty: var/<app>/store")
    s3_endpoint: str = Field("", description="URL of an S3-compatible store; empty: AWS")
    unit_key: SecretStr = Field(SecretStr(""), description="HMAC key for unit ids; empty: the app's unit.key")
    host: str = Field(default_factory=socket.gethostname, description="name of this host in the log")
    durability: Literal["FULL", "NORMAL"] = Field("FULL", description="FULL survives power loss; NORMAL, a crash")
    spool_max_bytes: int = Field(
        8 << 30, gt=0, description="of decisions: at this size they are thinned, and counted; rewards: as much again"
    )
    retention_days: int = Field(400, gt=0, description="older partitions are deleted by collect_events")
    quality_pages: bool = Field(True, description="write Great Expectations' own pages of each validation")
    triton: str = Field("127.0.0.1:8001", description="gRPC host:port of Triton")
    token: SecretStr = Field(SecretStr(""), description="API token of select, reward, record; empty: none is asked")
    tls_cert: Path | None = Field(None, description="PEM: this host's certificate, shown by its server and its callers")
    tls_key: Path | None = Field(None, description="PEM: its private key")
    tls_root: Path | None = Field(None, description="PEM: who signed the server's certificate, as callers must know")
    tls_clients: Path | None = Field(None, description="PEM: who signed the callers' certificates; set: mutual TLS")
    tls_name: str = Field("", description="what the server's certificate is made out to, if not the host of its URL")
    signing_key: Path | None = Field(None, description="PEM, Ed25519, private: releases that are published are signed")
    verify_key: Path | None = Field(None, description="PEM, Ed25519, public: what none of these signed is not served")
    redis: SecretStr = Field(
        SecretStr(""), description="redis:// or rediss:// URL of what serving hosts share; empty: each learns by itself"
    )
    engine: Literal["local", "ray"] = Field(
        "local", description="where hours are joined and trials computed: in this process, or on a Ray cluster"
    )
    ray: str = Field(
        "", description="with engine ray, the cluster's address; auto: this machine's; empty: one for the run"
    )
    join_rows: int = Field(
        JOIN_ROWS, ge=0, description="decisions of an hour beyond which it is joined in shards of so many; 0: never"
    )
    notifier: str = Field(
        "", description="JSON: whom the DAG monitor tells of an alarm, Airflow notifiers by class, with their arguments"
    )
    deadline_ms: float = Field(50.0, gt=0, description="client: milliseconds after which the fallback answers")
    patience_ms: float = Field(30.0, gt=0, description="server: how long a candidate's batch of one is waited for")

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            wrong = (f"{_where(str(e['loc'][0]), given)}: found {e['input']!r}, {e['msg']}" for e in error.errors())
            raise ValueError("; ".join(wrong)) from None

    @property
    def home(self) -> Path:
        """The app's own folder: spool/, store/, triton/, reports/, app.toml."""
        return self.var.absolute() / self.app


def _where(name: str, given: dict[str, Any]) -> str:
    """Where a setting comes from: what a caller gave does not come from the environment."""
    return name if name in given else f"CROUPIER_{name.upper()}"
