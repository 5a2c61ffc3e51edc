"""Objects in a folder or in S3 behind seven verbs; the only file that knows boto3.

    StoreError(Exception)
    ├── AlreadyExists      create() found an object under this key
    ├── Conflict           swap() found another version than the one it was given
    └── StoreUnavailable   the disk or the service failed; nothing is known to have been written, try again

A missing key is a KeyError. A write is whole or absent: in a folder a synced temporary file is linked or renamed.
`create` writes once (os.link; If-None-Match: *), `swap` replaces just the version that was read (file lock; If-Match).
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from croupier.features.store import layout
from croupier.features.store.folders import files_below, make_folder, make_private, opened, sync_folder
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

    def put(self, key: str, data: bytes | Path) -> None:
        """Writes `data`, or what a file holds, under `key`, in place of what was there."""

    def create(self, key: str, data: bytes | Path) -> None:
        """Writes `data`, or what a file holds, under `key`. Raises AlreadyExists where something is there."""

    def read(self, key: str) -> tuple[bytes, str | None]:
        """Returns the data and its version; (b"", None) where there is none."""

    def swap(self, key: str, data: bytes, version: str | None) -> None:
        """Writes `data` if what is there still has this version (None: nothing is there). Raises Conflict."""

    def fetch(self, keys: Sequence[str], folder: Path) -> list[Path]:
        """Brings the data of `keys` to this host; returns their paths. Those who read them do not write."""

    def between(self, prefix: str, first: str, last: str) -> list[str]:
        """Returns the keys behind `prefix + first` and before `prefix + last`, in the order of text, sorted, without
        listing those outside. The names of what lies between in a folder decide, and what is below a name is whole."""

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
        try:
            make_private(self.root)
        except OSError as error:
            raise StoreUnavailable(f"store: found {url!r} ({error.strerror}), expected a folder") from error

    def get(self, key: str) -> bytes:
        """Returns the file's bytes. Raises KeyError."""
        with _disk_errors(key):
            return (self.root / _checked(key)).read_bytes()

    def put(self, key: str, data: bytes | Path) -> None:
        """Writes the file whole or not at all, and syncs it."""
        self._write(key, data, os.replace)

    def create(self, key: str, data: bytes | Path) -> None:
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
        with _disk_errors(), alone(self.root / layout.LOCK):
            if self.read(key)[1] != version:
                raise Conflict(key)
            self.put(key, data)

    def fetch(self, keys: Sequence[str], folder: Path) -> list[Path]:  # noqa: ARG002 - nothing to copy: the files are here
        """Paths of these objects on this machine, to be read only."""
        return [self.root / _checked(key) for key in keys]

    def between(self, prefix: str, first: str, last: str) -> list[str]:
        """Reads the names of one folder, and of the folders in it only those between."""
        base = prefix.rpartition("/")[0]
        with _disk_errors():
            return files_below(self.root, base, lambda key: prefix + first <= key < prefix + last)

    def list(self, prefix: str) -> list[str]:
        """Returns the keys below `prefix`, sorted; hidden files are none."""
        base = prefix.rpartition("/")[0]
        with _disk_errors():
            return [key for key in files_below(self.root, base) if key.startswith(prefix)]

    def delete(self, key: str) -> None:
        """A key that is not there is no error."""
        with _disk_errors(), suppress(FileNotFoundError):
            (self.root / _checked(key)).unlink()

    def _write(self, key: str, data: bytes | Path, publish: Callable[[str, Path], None]) -> None:
        target = self.root / _checked(key)
        with _disk_errors():
            make_folder(target.parent)
            handle, temporary = tempfile.mkstemp(prefix=".tmp-", dir=target.parent)
            try:
                with os.fdopen(handle, "wb") as file, opened(data) as source:
                    shutil.copyfileobj(source, file)
                    file.flush()
                    os.fsync(file.fileno())
                publish(temporary, target)
                sync_folder(target.parent)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(temporary)  # noqa: PTH108 - after a rename it is gone already


def _link(temporary: str, target: Path) -> None:
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise AlreadyExists(target.name) from None


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

    def put(self, key: str, data: bytes | Path) -> None:
        """Writes the object."""
        with _s3_errors(key), opened(data) as body:
            self._s3.put_object(Bucket=self.bucket, Key=self._full(key), Body=body)

    def create(self, key: str, data: bytes | Path) -> None:
        """Writes by a conditional put (If-None-Match). Raises AlreadyExists."""
        with _s3_errors(key, refused=AlreadyExists), opened(data) as body:
            self._s3.put_object(Bucket=self.bucket, Key=self._full(key), Body=body, IfNoneMatch="*")

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
                with _s3_errors(key), path.with_suffix(".part").open("wb") as part:
                    shutil.copyfileobj(self._s3.get_object(Bucket=self.bucket, Key=self._full(key))["Body"], part)
                Path(part.name).replace(path)
            return path

        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(copy, keys))

    def between(self, prefix: str, first: str, last: str) -> list[str]:
        """Begins behind the first, and stops at the page that holds the last."""
        low, high, found = self.prefix + prefix + first, self.prefix + prefix + last, []
        where = {"Bucket": self.bucket, "Prefix": self.prefix + prefix, "StartAfter": low}
        with _s3_errors(prefix):
            for page in self._s3.get_paginator("list_objects_v2").paginate(**where):
                keys = [item["Key"] for item in page.get("Contents", [])]
                found += [key[len(self.prefix) :] for key in keys if key < high]
                if keys and keys[-1] >= high:
                    break
        return sorted(found)

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
