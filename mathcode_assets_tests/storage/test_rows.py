"""Rows of commands: every kind of file gives back what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mathcode_assets.storage.rows import PARQUET_CHUNK_ROWS, UnknownFormat, row_writer

LONG = 2 * PARQUET_CHUNK_ROWS + 1


def through_parquet(path: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    with row_writer(str(path)) as append:
        append(rows)
    return pq.read_table(path).to_pylist()


def test_a_column_that_is_null_for_long_takes_its_type_from_later_rows(tmp_path: Path) -> None:
    rows = [{"id": i, "exit_code": None, "matches": []} for i in range(LONG)]
    rows.append({"id": LONG, "exit_code": 3, "matches": [{"score": 0.5}]})
    assert through_parquet(tmp_path / "rows.parquet", rows) == rows


def test_ids_of_two_kinds_are_written_as_text(tmp_path: Path) -> None:
    rows = [{"id": 7}, {"id": "seven"}]
    assert through_parquet(tmp_path / "rows.parquet", rows) == [{"id": "7"}, {"id": "seven"}]


def test_integers_among_decimals_stay_numbers(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"score": 1}] * LONG + [{"score": 0.25}]
    assert through_parquet(tmp_path / "rows.parquet", rows) == rows


def test_a_field_that_only_some_rows_have_is_null_in_the_others(tmp_path: Path) -> None:
    rows = [{"a": 1}] * PARQUET_CHUNK_ROWS + [{"a": 2, "b": "x"}]
    found = through_parquet(tmp_path / "rows.parquet", rows)
    assert (found[0], found[-1]) == ({"a": 1, "b": None}, {"a": 2, "b": "x"})


def test_no_rows_make_a_file_without_columns(tmp_path: Path) -> None:
    assert through_parquet(tmp_path / "rows.parquet", []) == []


def test_nothing_appears_where_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), row_writer(str(tmp_path / "rows.parquet")) as append:
        append([{"a": 1}])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_an_ending_that_says_no_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormat, match=r"rows\.csv"), row_writer(str(tmp_path / "rows.csv")):
        pass
