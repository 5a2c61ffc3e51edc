"""Rows put together by a column: all that are equal in it in one shard, whatever lies between them. The shards lie in a
folder of temporary files (TMPDIR) until they are read, so that one reading of the rows makes all of them."""

import errno
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import polars as pl
import pyarrow as pa

from croupier.features.log.index.shard import SEED

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MOST = 250  # shards, each of which is an open file while they are written
_SHARD = "(shard)"  # a column: the number of the shard that a row is in


def shards_on_disk(parts: Iterable[pl.DataFrame], by: str, of: int) -> Iterator[pl.DataFrame]:
    """Yields the rows of all parts in at most `of` shards by a hash of the column `by`, in their order within each.
    Raises OSError where there is no room for them."""
    with tempfile.TemporaryDirectory(prefix="croupier-") as folder:
        try:
            written = _written(parts, by, min(of, MOST), Path(folder))
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise OSError(
                f"{tempfile.gettempdir()}: found no room for temporary files, of which each row takes about 45 bytes "
                f"({error}); free space there, or set TMPDIR to a folder on a larger disk"
            ) from error
        for path in written:
            yield pl.read_ipc_stream(path)
            path.unlink()


def _written(parts: Iterable[pl.DataFrame], by: str, of: int, folder: Path) -> list[Path]:
    shard, files = (pl.col(by).hash(SEED) % of).alias(_SHARD), dict[Path, pa.ipc.RecordBatchStreamWriter]()
    with ExitStack() as opened:
        for part in parts:
            for (number,), rows in (
                part.with_columns(shard).partition_by(_SHARD, as_dict=True, include_key=False).items()
            ):
                table, path = rows.to_arrow(compat_level=pl.CompatLevel.oldest()), folder / f"{number}"
                if path not in files:
                    files[path] = opened.enter_context(pa.ipc.new_stream(path, table.schema))
                files[path].write_table(table)
    return list(files)
