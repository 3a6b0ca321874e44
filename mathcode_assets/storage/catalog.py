"""DuckDB as the lake's window: a view for each table over the files its manifests name.

    connection = open_catalog(Lake("lake"))
    connection.sql("SELECT verdict, count(*) FROM attributes__cc_en_math GROUP BY ALL")

A view is named as the asset, with `__` for `/`, and has one more column, `partition`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import duckdb

from mathcode_assets.storage.filesystem import FILES_AT_ONCE, read_files
from mathcode_assets.storage.full_disk import FullDisk
from mathcode_assets.storage.lake import FOLDER_SCHEMA, Lake
from mathcode_assets.storage.manifest import MANIFEST_NAME, Manifest, ManifestError

CATALOG_NAME = "lake.duckdb"
MANIFESTS_VIEW = "manifests"


def open_catalog(lake: Lake) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with a view for each published table, and `manifests` for the counts.

    Raises:
        ManifestError: a manifest of the lake cannot be read.
    """
    connection = duckdb.connect()
    _let_read(connection, lake)
    _create_views(connection, lake)
    return connection


def write_catalog(lake: Lake, path: Path | None = None) -> Path | None:
    """Put the same views into a database file for the user's own SQL: `lake.duckdb` in a local lake.

    The views name files by absolute path or URI: write it again after moving the lake. Views on an object store are
    read through DuckDB's httpfs, or through fsspec where the reader registers it as `open_catalog` does.

    Args:
        lake: the lake.
        path: another place; without one, nothing is written for a lake elsewhere, and None returned.

    Raises:
        FullDisk: there is no room for it.
    """
    if path is None and not lake.root.is_local:
        return None
    path = path or Path(lake.root.path) / CATALOG_NAME
    fresh = path.with_suffix(".duckdb.new")
    _remove(fresh)  # of a process that was killed
    try:
        with duckdb.connect(str(fresh)) as connection:
            _let_read(connection, lake)
            _create_views(connection, lake)
        fresh.replace(path)
    except duckdb.IOException as error:
        if "No space left" not in str(error):
            raise
        raise FullDisk(errno.ENOSPC, f"no space left on the disk of {path}; the catalog of before stays") from error
    finally:
        _remove(fresh)
    return path


def _remove(database: Path) -> None:
    for path in (database, database.with_name(f"{database.name}.wal")):
        path.unlink(missing_ok=True)


def view_name(key: str) -> str:
    """Name of the view of a table."""
    return key.replace("/", "__")


def iter_manifests(lake: Lake) -> Iterator[Manifest]:
    """Every manifest of the lake, sorted by path.

    Raises:
        ManifestError: one cannot be read.
    """
    places = [lake.root / path for path in sorted(lake.root.sizes())]
    places = [place for place in places if place.name == MANIFEST_NAME]
    for start in range(0, len(places), FILES_AT_ONCE):
        contents = read_files(batch := places[start : start + FILES_AT_ONCE])
        for place in batch:
            if place.path in contents:
                yield Manifest.from_bytes(contents[place.path], origin=place.uri)


def _let_read(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    if not lake.root.is_local:
        connection.register_filesystem(lake.root.filesystem)


def _create_views(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    tables: dict[str, list[Manifest]] = {}
    rows = []
    for manifest in iter_manifests(lake):
        if manifest.schema != FOLDER_SCHEMA:
            tables.setdefault(manifest.key, []).append(manifest)
        rows += _count_rows(manifest)
    for key, manifests in tables.items():
        sources = [f"({_partition_sql(lake, manifest)})" for manifest in manifests if manifest.files]
        connection.execute(f'CREATE VIEW "{view_name(key)}" AS ' + " UNION ALL ".join(sources))
    connection.execute(
        f"CREATE TABLE {MANIFESTS_VIEW} (asset VARCHAR, partition VARCHAR, schema VARCHAR, "
        "data_version VARCHAR, n_tokens BIGINT, tokenizer VARCHAR, "
        "fate VARCHAR, reason VARCHAR, n_rows BIGINT)"
    )
    if rows:
        connection.executemany(f"INSERT INTO {MANIFESTS_VIEW} VALUES (?,?,?,?,?,?,?,?,?)", rows)


def _partition_sql(lake: Lake, manifest: Manifest) -> str:
    table = lake.table(manifest.key, manifest.partition)
    names = ", ".join(_quoted((table.location / file.name).uri) for file in manifest.files)
    return f"SELECT *, {_quoted(manifest.partition)} AS partition FROM read_parquet([{names}])"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _count_rows(manifest: Manifest) -> list[tuple[object, ...]]:
    accounting = manifest.accounting
    fates = [("in", "", accounting.n_in), ("kept", "", accounting.n_kept)]
    fates += [("dropped", reason, n) for reason, n in sorted(accounting.dropped.items())]
    fates += [("quarantined", reason, n) for reason, n in sorted(accounting.quarantined.items())]
    head = (manifest.key, manifest.partition, manifest.schema, manifest.data_version)
    return [(*head, manifest.n_tokens, manifest.tokenizer, *fate) for fate in fates]


__all__ = ["CATALOG_NAME", "ManifestError", "iter_manifests", "open_catalog", "view_name", "write_catalog"]
