"""Dagster's SQLite files, the same on disk, written over connections that are kept.

Dagster opens an engine, a connection and a transaction for each event, lets SQLAlchemy compile each statement anew,
and folds the write-ahead log back at each close. In a drive of hundreds of runs that was most of what is not work on
the corpus (benchmarks/run_overhead.py). Here connections stay open, and a commit waits for the disk only where the log
is folded back: a process that is killed loses nothing, a power cut at worst the last events, and the lake, not this
record, says what is made.

The files are those of Dagster's own classes: the UI and the daemon open them as ever.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dagster._core.instance.ref import _event_logs_directory, _runs_directory, _schedule_directory
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from mathcode_assets.storage.leftovers import process_folder

# Runs whose files stay open: the one that is written, and those that were asked about last.
OPEN_RUNS = 4


class KeptEventLogStorage(SqliteEventLogStorage):
    """Dagster's event log with one connection a file, for the runs of one process after another."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._empty: bytes | None = None
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock, self._engine(shard).connect() as connection, connection.begin():
            yield connection

    def has_table(self, table_name: str) -> bool:
        """Asked before each look at dynamic partitions and checks; a table that was there stays."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def _engine(self, shard: str) -> Engine:
        """The engine of a file, which is made where it is missing."""
        engine = self._engines.get(shard)
        if engine is None:
            if shard not in self._initialized_dbs:
                self._make_file(shard)
            engine = _kept_engine(self.conn_string_for_shard(shard), poolclass=StaticPool)
            self._engines[shard] = engine
            runs = [name for name in self._engines if name != INDEX_SHARD_NAME]
            for name in runs[: max(0, len(runs) - OPEN_RUNS)]:
                self._engines.pop(name).dispose()
        self._engines.move_to_end(shard)
        return engine

    def _make_file(self, shard: str) -> None:
        """Give a run its file: a copy of an empty one of Dagster, which takes longer to make than a run to write."""
        path = Path(self.path_for_shard(shard))
        if not path.exists() and shard != INDEX_SHARD_NAME:
            staged = path.with_suffix(".new")
            staged.write_bytes(self._empty_file())
            staged.replace(path)
        else:
            self._initialise(self.conn_string_for_shard(shard))
        self._initialized_dbs.add(shard)

    def _empty_file(self) -> bytes:
        if self._empty is None:
            with TemporaryDirectory(dir=process_folder()) as folder:
                self._initialise(f"sqlite:///{folder}/empty.db")
                self._empty = Path(folder, "empty.db").read_bytes()
        return self._empty

    def _initialise(self, address: str) -> None:
        engine = create_engine(address, poolclass=NullPool, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})
        self._initdb(engine)
        engine.dispose()

    def dispose(self) -> None:
        """Close the files."""
        super().dispose()
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()


class KeptRunStorage(SqliteRunStorage):
    """Dagster's list of runs with its connections kept."""

    def __init__(self, conn_string: str, inst_data: Any = None) -> None:
        self._engine = _kept_engine(conn_string, poolclass=QueuePool, pool_use_lifo=True)
        super().__init__(conn_string, inst_data)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection in a transaction."""
        with self._engine.connect() as connection, connection.begin():
            yield connection

    def dispose(self) -> None:
        """Close the file."""
        super().dispose()
        self._engine.dispose()


class KeptSqliteStorage(DagsterSqliteStorage):
    """Both, and Dagster's own storage of schedules."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self.base_dir = base_dir
        self._run_storage = KeptRunStorage.from_local(_runs_directory(base_dir))
        self._event_log_storage = KeptEventLogStorage(_event_logs_directory(base_dir))
        self._schedule_storage = SqliteScheduleStorage.from_local(_schedule_directory(base_dir))
        self._inst_data = inst_data
        # Not Dagster's own constructor, which would open its own three.
        super(DagsterSqliteStorage, self).__init__()

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> KeptSqliteStorage:  # type: ignore[override]
        """What Dagster calls; its own class gives itself."""
        Path(config_value["base_dir"]).mkdir(parents=True, exist_ok=True)
        return cls(config_value["base_dir"], inst_data)


def _kept_engine(address: str, **pool: Any) -> Engine:
    arguments = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
    engine = create_engine(address, connect_args=arguments, **pool)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, record: Any) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine
