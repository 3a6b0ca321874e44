"""Records of a parquet file, in memory of a few pages whatever the size of its row groups."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mathcode_assets.sources.errors import UnreadableSource
from mathcode_assets.sources.listing import SourceFile
from mathcode_assets.sources.opening import open_raw
from mathcode_assets.sources.raw_records import RawRecords, Record

_BATCH_BYTES = 4 << 20
_MAX_BATCH_ROWS = 512
# Without a buffer pyarrow reads a column of a row group at once (measured: a group of 200 MB costs
# 200 MB). Each column has its own buffer; remote ones are larger, as each is a request.
_LOCAL_BUFFER_BYTES = 1 << 20
_REMOTE_BUFFER_BYTES = 4 << 20


def parquet_records(
    file: SourceFile,
    *,
    needed: Sequence[Sequence[str]],
    present: Sequence[Sequence[str]] = (),
    only: Sequence[str] | None = None,
) -> RawRecords:
    """One record a row.

    A value that is too large is in memory before its size is known; `fields` refuses it.

    Args:
        file: not empty.
        needed: for each needed field the names it may have; one of them must be a column of text.
        present: the same for columns of any type.
        only: read these columns and no others.

    Raises:
        UnreadableSource: not parquet, damaged or cut off (after the rows before), or a needed column
            is missing or not text; names the columns there are.
    """
    with _opened(file) as parquet:
        check_columns(file, parquet.schema_arrow, needed, present)
        columns = None if only is None else [name for name in parquet.schema_arrow.names if name in only]
        row = 0
        for group in range(parquet.num_row_groups):
            meta = parquet.metadata.row_group(group)
            mean_bytes = max(1, meta.total_byte_size // max(1, meta.num_rows))
            batches = parquet.iter_batches(
                batch_size=max(1, min(_MAX_BATCH_ROWS, _BATCH_BYTES // mean_bytes)),
                row_groups=[group],
                columns=columns,
                use_threads=False,
            )
            while True:
                try:
                    batch = next(batches, None)
                    if batch is None:
                        break
                    rows = _rows(batch)
                except Exception as error:  # Arrow's own errors, and whatever a remote store raises
                    raise UnreadableSource(file.address, f"damaged parquet: {error}", row=row) from error
                for fields in rows:
                    yield Record(row, fields)
                    row += 1


@contextlib.contextmanager
def _opened(file: SourceFile) -> Iterator[pq.ParquetFile]:
    is_local = "://" not in file.uri
    with open_raw(file, ranged=True) as stream:
        try:
            parquet = pq.ParquetFile(
                file.uri if is_local else stream,
                pre_buffer=False,
                buffer_size=_LOCAL_BUFFER_BYTES if is_local else _REMOTE_BUFFER_BYTES,
            )
        except Exception as error:
            raise UnreadableSource(file.address, f"not a whole parquet file: {error}") from error
        with parquet:
            yield parquet


def check_columns(
    file: SourceFile, schema: pa.Schema, needed: Sequence[Sequence[str]], present: Sequence[Sequence[str]]
) -> None:
    """Raise unless each needed field has a column of text, and each other one a column.

    Raises:
        UnreadableSource: names the columns wanted and found.
    """
    found = ", ".join(f"{field.name} ({field.type})" for field in schema) or "no column"
    for names in (*needed, *present):
        have = [name for name in names if name in schema.names]
        if not have:
            raise UnreadableSource(file.address, f"no column {' or '.join(names)}; found: {found}")
        dtype = schema.field(schema.get_all_field_indices(have[0])[0]).type
        if names in needed and not _is_text(dtype):
            raise UnreadableSource(file.address, f"column {have[0]} is not text; found: {found}")


def _is_text(dtype: pa.DataType) -> bool:
    if pa.types.is_dictionary(dtype):
        return _is_text(dtype.value_type)
    checks = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
        pa.types.is_null,
    )
    return any(check(dtype) for check in checks)


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    columns = [_values(column) for column in batch.columns]
    return [dict(zip(batch.schema.names, values, strict=True)) for values in zip(*columns, strict=True)]


def _values(column: pa.Array) -> list[Any]:
    if pa.types.is_temporal(column.type):
        # Nanoseconds have no Python type without pandas.
        column = pc.cast(column, pa.string())
    try:
        return column.to_pylist()
    except ValueError:  # not UTF-8, or nanoseconds in a nested column
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    """A value; of text that is not UTF-8 its bytes, and of what Python has no value for a word about it."""
    try:
        return scalar.as_py()
    except ValueError:
        if isinstance(scalar, pa.StructScalar):
            return {name: _value(scalar[name]) for name in scalar}
        if isinstance(scalar, pa.ListScalar | pa.LargeListScalar) and scalar.values is not None:
            return [_value(item) for item in scalar.values]
        if hasattr(scalar, "as_buffer"):
            return scalar.as_buffer().to_pybytes()
        return f"a {scalar.type} that cannot be shown"
