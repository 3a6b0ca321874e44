"""Fingerprints of all partitions grouped by content hash, out of core.

`Spool` takes the fingerprints in and writes them twice: (hash, place, doc_id) to the bucket of the
hash, and the doc_ids of each partition in their order. `resolve_clusters` sorts one bucket after
another, sends what it finds (only rows with a twin) through a second exchange to the partition they
belong to, and merges them with the doc_ids there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa

from mathcode_assets.deduplication.exchange import Buckets, fixed_bytes
from mathcode_assets.records import DUPLICATE_ATTRIBUTES, EXACT_DUPLICATE, FINGERPRINT, KEPT, check_batch

_HASH_BYTES = 16

_PLACE = pa.schema(
    [
        ("content_hash", pa.binary(_HASH_BYTES)),
        ("partition", pa.int32()),  # in order of arrival; its rank is known only at the end
        ("row", pa.int64()),
        ("doc_id", pa.string()),
    ]
)
_TWIN = pa.schema(
    [
        ("content_hash", pa.binary(_HASH_BYTES)),
        ("rank", pa.int32()),
        ("row", pa.int64()),
        ("keeper_rank", pa.int32()),
        ("keeper_row", pa.int64()),
        ("keeper_doc_id", pa.string()),
    ]
)
_DOC_ID = pa.schema([("doc_id", pa.string())])


class _Partition(NamedTuple):
    key: tuple[int, str]
    component: str
    first_batch: int
    n_batches: int
    n_rows: int


class Spool:
    """Fingerprints on disk: by bucket of the hash, and the doc_ids by partition."""

    def __init__(self, folder: Path, *, n_buckets: int) -> None:
        self.folder = folder
        self.places = Buckets(folder / "places", _PLACE, n_buckets)
        self.doc_ids_path = folder / "doc_ids.arrow"
        self.partitions: list[_Partition] = []
        self._doc_ids = pa.ipc.new_file(self.doc_ids_path, _DOC_ID)
        self._n_batches = 0
        self._keys: set[tuple[int, str]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.places.close()
        self._doc_ids.close()

    def add(self, key: tuple[int, str], component: str, batches: Iterable[pa.RecordBatch]) -> None:
        """Take in one partition.

        Args:
            key: sorts this partition among all: (place of the component, partition key).
            component: its name, for the verdicts.
            batches: of FINGERPRINT.

        Raises:
            ValueError: this key came before.
        """
        if key in self._keys:
            raise ValueError(f"partition {key[1]!r} of {component} is given twice")
        self._keys.add(key)
        first, n_rows = self._n_batches, 0
        for batch in batches:
            check_batch(batch, FINGERPRINT)
            self._doc_ids.write_batch(pa.record_batch([batch.column("doc_id")], schema=_DOC_ID))
            self._n_batches += 1
            if batch.num_rows:  # an empty column may have no buffer to look into
                self._exchange(batch, n_rows)
            n_rows += batch.num_rows
        partition = _Partition(key, component, first, self._n_batches - first, n_rows)
        self.partitions.append(partition)

    def _exchange(self, batch: pa.RecordBatch, first_row: int) -> None:
        hashes = batch.column("content_hash")
        rows = np.arange(first_row, first_row + batch.num_rows, dtype=np.int64)
        numbers = np.full(batch.num_rows, len(self.partitions), dtype=np.int32)
        columns = [hashes, pa.array(numbers), pa.array(rows), batch.column("doc_id")]
        start = fixed_bytes(hashes, _HASH_BYTES)[:, :4].astype(np.uint64)
        head = start[:, 0] << 24 | start[:, 1] << 16 | start[:, 2] << 8 | start[:, 3]
        bucket = (head * np.uint64(len(self.places))) >> np.uint64(32)
        self.places.add(pa.record_batch(columns, schema=_PLACE), bucket.astype(np.int64))


def resolve_clusters(
    spool: Spool,
) -> Iterator[tuple[tuple[int, str], str, Iterator[pa.RecordBatch]]]:
    """(key, component, DUPLICATE_ATTRIBUTES batches) of each partition, in order of their keys."""
    ranked = sorted(range(len(spool.partitions)), key=lambda number: spool.partitions[number].key)
    partitions = [spool.partitions[number] for number in ranked]
    rank_of = np.empty(len(ranked), dtype=np.int32)
    rank_of[ranked] = np.arange(len(ranked), dtype=np.int32)
    group_of = _groups_of_similar_size([partition.n_rows for partition in partitions], len(spool.places))
    with Buckets(spool.folder / "twins", _TWIN, len(spool.places)) as twins:
        for number in range(len(spool.places)):
            found = _twins_of_bucket(spool.places.read(number), rank_of)
            if found.num_rows:
                twins.add(found, group_of[found.column("rank").to_numpy()])
    # Not a memory map: its pages would count as the process's own, and grow with the corpus.
    with pa.OSFile(str(spool.doc_ids_path)) as source:
        doc_ids = pa.ipc.open_file(source)
        group, group_twins = -1, pa.table({})
        for rank, partition in enumerate(partitions):
            if group_of[rank] != group:
                group = int(group_of[rank])
                group_twins = twins.read(group).combine_chunks()
            own = _rows_of(group_twins, rank)
            yield partition.key, partition.component, _verdicts(doc_ids, partition, own, partitions)


def _groups_of_similar_size(sizes: list[int], n_groups: int) -> np.ndarray:
    """Group number of each partition: neighbours together, rising, about equally many rows each."""
    before = np.concatenate([[0], np.cumsum(sizes)])[:-1] if sizes else np.zeros(0)
    return (before * n_groups // max(sum(sizes), 1)).clip(0, n_groups - 1).astype(np.int64)


def _twins_of_bucket(places: pa.Table, rank_of: np.ndarray) -> pa.RecordBatch:
    """The rows of a bucket whose text occurs more than once, each with the copy that stays."""
    places = places.combine_chunks()
    if not places.num_rows:
        return pa.RecordBatch.from_pylist([], schema=_TWIN)
    hashes = places.column("content_hash").chunk(0)
    halves = np.ascontiguousarray(fixed_bytes(hashes, _HASH_BYTES)).view(np.uint64)
    rank = rank_of[places.column("partition").to_numpy()]
    row = places.column("row").to_numpy()
    order = np.lexsort((row, rank, halves[:, 1], halves[:, 0]))
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = (halves[order][1:] != halves[order][:-1]).any(axis=1)
    cluster = np.cumsum(starts) - 1
    keeper = order[np.flatnonzero(starts)][cluster]
    repeated = np.bincount(cluster)[cluster] > 1
    order, keeper = order[repeated], keeper[repeated]
    columns = [
        hashes.take(pa.array(order)),
        pa.array(rank[order]),
        pa.array(row[order]),
        pa.array(rank[keeper]),
        pa.array(row[keeper]),
        places.column("doc_id").chunk(0).take(pa.array(keeper)),
    ]
    return pa.record_batch(columns, schema=_TWIN)


def _rows_of(twins: pa.Table, rank: int) -> pa.Table:
    """The twins of one partition in row order."""
    places = np.flatnonzero(twins.column("rank").to_numpy() == rank)
    rows = twins.column("row").to_numpy()[places]
    return twins.take(pa.array(places[np.argsort(rows)])).combine_chunks()


def _verdicts(
    doc_ids: pa.ipc.RecordBatchFileReader, partition: _Partition, twins: pa.Table, ranked: list[_Partition]
) -> Iterator[pa.RecordBatch]:
    """Every row of the partition: kept where it has no twin, else as its cluster says."""
    rows = twins.column("row").to_numpy()
    rank = twins.column("rank").to_numpy()
    stays = (twins.column("keeper_rank").to_numpy() == rank) & (twins.column("keeper_row").to_numpy() == rows)
    first_row = 0
    for number in range(partition.first_batch, partition.first_batch + partition.n_batches):
        ids = doc_ids.get_batch(number).column("doc_id")
        start, end = np.searchsorted(rows, [first_row, first_row + len(ids)])
        own = twins.slice(int(start), int(end - start)).to_pylist()
        verdict = [KEPT] * len(ids)
        original: list[str | None] = [None] * len(ids)
        component: list[str | None] = [None] * len(ids)
        cluster: list[str | None] = [None] * len(ids)
        for twin, is_keeper in zip(own, stays[start:end], strict=True):
            place = twin["row"] - first_row
            cluster[place] = twin["content_hash"].hex()
            if not is_keeper:
                verdict[place] = EXACT_DUPLICATE
                original[place] = twin["keeper_doc_id"]
                component[place] = ranked[twin["keeper_rank"]].component
        columns = [
            ids,
            *(pa.array(column, pa.string()) for column in (verdict, original, component, cluster)),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=DUPLICATE_ATTRIBUTES)
        first_row += len(ids)
