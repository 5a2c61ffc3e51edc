"""Objects in a folder or in S3 behind seven verbs; the only file that knows boto3.

    StoreError(Exception)
    ├── AlreadyExists      create() found an object under this key
    ├── Conflict           swap() found another version than the one it was given
    └── StoreUnavailable   the disk or the service failed; nothing is known to have been written, try again

A missing key is a KeyError. A write is whole or absent: a folder gets a synced temporary file that is linked or renamed
into place, S3 puts are atomic. `create` writes once (os.link; If-None-Match: *), `swap` replaces exactly the version
that was read (a file lock around digest and rename; If-Match on the ETag).
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from croupier.features.store.locks import alone


class StoreError(Exception):
    """The store could not do what it was asked."""


class AlreadyExists(StoreError):
    """create() found an object under this key."""


class Conflict(StoreError):
    """swap() found another version than the one it was given: read again, decide again."""


class StoreUnavailable(StoreError):
    """The disk or the service failed. The write may or may not have happened: create() and swap() tell on retry."""


class Store(Protocol):
    """Whole objects under '/'-separated keys. `version` of an object is opaque; None means: not there."""

    url: str

    def get(self, key: str) -> bytes:
        """Returns the data under `key`. Raises KeyError."""

    def put(self, key: str, data: bytes) -> None:
        """Writes `data` under `key`, in place of what was there."""

    def create(self, key: str, data: bytes) -> None:
        """Writes `data` under `key`. Raises AlreadyExists where something is there."""

    def read(self, key: str) -> tuple[bytes, str | None]:
        """Returns the data and its version; (b"", None) where there is none."""

    def swap(self, key: str, data: bytes, version: str | None) -> None:
        """Writes `data` if what is there still has this version (None: nothing is there). Raises Conflict."""

    def fetch(self, keys: Sequence[str], folder: Path) -> list[Path]:
        """Brings the data of `keys` to this host; returns their paths. Those who read them do not write."""

    def list(self, prefix: str) -> list[str]:
        """Returns the keys that begin with `prefix`, sorted."""

    def delete(self, key: str) -> None:
        """Deletes what is under `key`, if anything is."""


def open_store(url: str, *, endpoint: str = "") -> Store:
    """Opens `s3://bucket/prefix`, at `endpoint` or AWS, or a folder, which is made if it is not there."""
    if re.match(r"s3://[A-Za-z0-9._:-]+(/|$)", url):
        return S3Store(url, endpoint=endpoint)
    if "://" in url:
        raise ValueError(f"store: found {url!r}, expected a folder or s3://bucket/prefix")
    return FolderStore(url)


def _checked(key: str) -> str:
    parts = PurePosixPath(key).parts
    if not parts or key.startswith("/") or ".." in parts or any(part.startswith(".") for part in parts):
        raise ValueError(f"key: found {key!r}, expected a relative path whose parts do not start with a dot")
    return key


class FolderStore:
    """A store for one machine (or a shared POSIX disk). Files and folders whose name starts with a dot are its own."""

    def __init__(self, url: str) -> None:
        self.root = Path(url).absolute()
        self.url = str(self.root)
        with _disk_errors():
            self.root.mkdir(parents=True, exist_ok=True)

    def get(self, key: str) -> bytes:
        """Returns the file's bytes. Raises KeyError."""
        with _disk_errors(key):
            return (self.root / _checked(key)).read_bytes()

    def put(self, key: str, data: bytes) -> None:
        """Writes the file whole or not at all, and syncs it."""
        self._write(key, data, os.replace)

    def create(self, key: str, data: bytes) -> None:
        """Writes the file whole or not at all. Raises AlreadyExists."""
        self._write(key, data, _link)

    def read(self, key: str) -> tuple[bytes, str | None]:
        """Returns the bytes and their SHA-256 as the version; (b"", None) where there is no file."""
        try:
            data = self.get(key)
        except KeyError:
            return b"", None
        return data, hashlib.sha256(data).hexdigest()

    def swap(self, key: str, data: bytes, version: str | None) -> None:
        """Writes under a lock if the file still has this version. Raises Conflict."""
        with _disk_errors(), alone(self.root / ".lock"):
            if self.read(key)[1] != version:
                raise Conflict(key)
            self.put(key, data)

    def fetch(self, keys: Sequence[str], folder: Path) -> list[Path]:  # noqa: ARG002 - nothing to copy: the files are here
        """Paths of these objects on this machine, to be read only."""
        return [self.root / _checked(key) for key in keys]

    def list(self, prefix: str) -> list[str]:
        """Returns the keys below `prefix`, sorted; hidden files are none."""
        base = self.root / prefix.rpartition("/")[0]
        with _disk_errors():
            found = []
            for folder, folders, files in os.walk(base, onerror=_unless_missing):
                folders[:] = [name for name in folders if not name.startswith(".")]
                start = Path(folder).relative_to(self.root).as_posix()
                stem = "" if start == "." else start + "/"
                found += [stem + name for name in files if not name.startswith(".")]
        return sorted(key for key in found if key.startswith(prefix))

    def delete(self, key: str) -> None:
        """A key that is not there is no error."""
        with _disk_errors(), suppress(FileNotFoundError):
            (self.root / _checked(key)).unlink()

    def _write(self, key: str, data: bytes, publish: Callable[[str, Path], None]) -> None:
        target = self.root / _checked(key)
        with _disk_errors():
            _make_folder(target.parent)
            handle, temporary = tempfile.mkstemp(prefix=".tmp-", dir=target.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                publish(temporary, target)
                _sync_folder(target.parent)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(temporary)  # noqa: PTH108 - after a rename it is gone already


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error  # a folder that cannot be read is an outage, not an empty folder


def _link(temporary: str, target: Path) -> None:
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise AlreadyExists(target.name) from None


def _make_folder(folder: Path) -> None:
    """Makes a folder with what is above it; each new name is synced too, else power loss takes the folder with all that
    is in it."""
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)  # the name, too, must survive power loss
    finally:
        os.close(handle)


@contextmanager
def _disk_errors(key: str = "") -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        if key:
            raise KeyError(key) from None
        raise StoreUnavailable(str(error)) from error
    except OSError as error:
        raise StoreUnavailable(str(error)) from error


class S3Store:
    """Any S3 with conditional writes (AWS since 2024, MinIO, Ceph, moto). Credentials come from the environment."""

    def __init__(self, url: str, *, endpoint: str = "", timeout_seconds: float = 20.0) -> None:
        import boto3
        from botocore.config import Config

        self.url = url.rstrip("/")
        self.bucket, _, prefix = self.url.removeprefix("s3://").partition("/")
        self.prefix = f"{prefix}/" if prefix else ""
        config = Config(
            retries={"max_attempts": 3, "mode": "standard"},
            connect_timeout=min(5.0, timeout_seconds),
            read_timeout=timeout_seconds,
            max_pool_connections=16,
        )
        with _s3_errors(self.url):  # a profile that is not there, a configuration that cannot be read
            self._s3: Any = boto3.client("s3", endpoint_url=endpoint or None, config=config)

    def get(self, key: str) -> bytes:
        """Returns the object's bytes. Raises KeyError."""
        data, version = self.read(key)
        if version is None:
            raise KeyError(key)
        return data

    def put(self, key: str, data: bytes) -> None:
        """Writes the object."""
        with _s3_errors(key):
            self._s3.put_object(Bucket=self.bucket, Key=self._full(key), Body=data)

    def create(self, key: str, data: bytes) -> None:
        """Writes by a conditional put (If-None-Match). Raises AlreadyExists."""
        with _s3_errors(key, refused=AlreadyExists):
            self._s3.put_object(Bucket=self.bucket, Key=self._full(key), Body=data, IfNoneMatch="*")

    def read(self, key: str) -> tuple[bytes, str | None]:
        """Returns the bytes and the ETag as the version; (b"", None) where there is no object."""
        try:
            with _s3_errors(key):
                answer = self._s3.get_object(Bucket=self.bucket, Key=self._full(key))
                return answer["Body"].read(), answer["ETag"]
        except KeyError:
            return b"", None

    def swap(self, key: str, data: bytes, version: str | None) -> None:
        """Writes by a conditional put (If-Match). Raises Conflict."""
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        with _s3_errors(key, refused=Conflict):
            try:
                self._s3.put_object(Bucket=self.bucket, Key=self._full(key), Body=data, **condition)
            except self._s3.exceptions.NoSuchKey:
                raise Conflict(key) from None

    def fetch(self, keys: Sequence[str], folder: Path) -> list[Path]:
        """Paths of copies of these objects under `folder`, sixteen at a time."""

        def copy(key: str) -> Path:
            path = folder / _checked(key)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.get(key))
            return path

        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(copy, keys))

    def list(self, prefix: str) -> list[str]:
        """Returns the keys that begin with `prefix`, sorted."""
        with _s3_errors(prefix):
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
            return sorted(item["Key"][len(self.prefix) :] for page in pages for item in page.get("Contents", []))

    def delete(self, key: str) -> None:
        """Deletes the object, if there is one."""
        with _s3_errors(key):
            self._s3.delete_object(Bucket=self.bucket, Key=self._full(key))

    def _full(self, key: str) -> str:
        return self.prefix + _checked(key)


@contextmanager
def _s3_errors(key: str, *, refused: type[StoreError] = StoreUnavailable) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if status in (409, 412):  # 409: two conditional writes at once, the other one won
            raise refused(key) from None
        if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
            raise KeyError(key) from None
        raise StoreUnavailable(f"{key}: {error}") from error
    except (BotoCoreError, HTTPClientError) as error:
        raise StoreUnavailable(f"{key}: {error}") from error
