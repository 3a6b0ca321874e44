"""Documents joined with the attributes that taggers wrote for them: what is kept, and a count of the rest.

The two tables are co-partitioned (same rows, same order), so the join is a zip, checked by doc_id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from mathcode_assets.storage.manifest import Accounting


class NotCopartitioned(ValueError):
    """Attributes that do not belong to the documents beside them."""


@dataclass(slots=True)
class Tally:
    """Running counts of a consolidation; `accounting` once the stream is consumed."""

    n_in: int = 0
    n_kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def accounting(self, n_rows: int | None = None) -> Accounting:
        """The counts as an Accounting.

        Raises:
            AccountingError: they do not add up.
        """
        kept = self.n_kept if n_rows is None else n_rows
        return Accounting(n_in=self.n_in, n_kept=kept, dropped=dict(sorted(self.dropped.items())))


def keep_rows(
    documents: Iterable[pa.RecordBatch],
    attributes: Iterable[pa.RecordBatch],
    *,
    drop_verdicts: frozenset[str],
    tally: Tally,
    reason_column: str = "verdict",
) -> Iterator[pa.RecordBatch]:
    """The documents whose attribute row has another verdict than those to drop.

    Args:
        documents: any batches with a doc_id column.
        attributes: batches with doc_id, verdict and the reason column, same rows in the same order.
        drop_verdicts: verdicts that take a document out.
        tally: counts are added to it as the stream flows.
        reason_column: column whose value a dropped document is counted under.

    Raises:
        NotCopartitioned: other ids or another number of rows. Names the row.
    """
    columns = list(dict.fromkeys(["doc_id", "verdict", reason_column]))
    for batch, found in _aligned(documents, attributes, columns):
        if batch.column("doc_id").to_pylist() != found["doc_id"].to_pylist():
            rows = f"{tally.n_in}..{tally.n_in + batch.num_rows - 1}"
            raise NotCopartitioned(f"rows {rows}: the attributes are those of other documents")
        dropped = pc.is_in(found["verdict"], pa.array(sorted(drop_verdicts), pa.string())).combine_chunks()
        tally.n_in += batch.num_rows
        tally.dropped.update(found[reason_column].filter(dropped).to_pylist())
        kept = batch.filter(pc.invert(dropped))
        tally.n_kept += kept.num_rows
        if kept.num_rows:
            yield kept


def _aligned(
    documents: Iterable[pa.RecordBatch], attributes: Iterable[pa.RecordBatch], columns: list[str]
) -> Iterator[tuple[pa.RecordBatch, pa.Table]]:
    """Each batch of documents with the attribute rows of the same positions."""
    stream = (pa.Table.from_batches([batch]).select(columns) for batch in attributes)
    waiting: pa.Table | None = None
    row = 0
    for batch in documents:
        while waiting is None or waiting.num_rows < batch.num_rows:
            more = next(stream, None)
            if more is None:
                raise NotCopartitioned(f"attributes end at row {row + (waiting.num_rows if waiting else 0)}")
            waiting = more if waiting is None else pa.concat_tables([waiting, more])
        yield batch, waiting.slice(0, batch.num_rows)
        waiting = waiting.slice(batch.num_rows)
        row += batch.num_rows
    if (waiting is not None and waiting.num_rows) or any(table.num_rows for table in stream):
        raise NotCopartitioned(f"more attributes than the {row} documents")
