"""From near pairs to verdicts: which text stays, which cluster it is in, and a row for each document.

Texts are taken in order of preference. A text stays unless it is near one that stays already: so every text that goes
is as near as the threshold says to the one named for it, no two texts that stay are near, and no text goes for a chain
of likenesses. (Textbook editions are chosen in the same way.) A cluster is everything that near pairs connect.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from mathcode_assets.deduplication import kernel
from mathcode_assets.deduplication.texts import Corpus, as_bytes, ascending
from mathcode_assets.records import DUPLICATE_ATTRIBUTES, EXACT_DUPLICATE, KEPT, NEAR_DUPLICATE

_VERDICTS = pa.array([KEPT, EXACT_DUPLICATE, NEAR_DUPLICATE])
_KEPT, _EXACT, _NEAR = range(3)


class Verdicts:
    """The verdict on every document of a corpus.

    Args:
        corpus: the documents.
        left, right: int64, numbers of the near pairs, each pair once, `left` the lower.
        similarity: float64, how near.
    """

    def __init__(self, corpus: Corpus, left: np.ndarray, right: np.ndarray, similarity: np.ndarray) -> None:
        self._corpus = corpus
        # Of the texts that have a near one: ascending, so in order of preference.
        self._texts = ascending(np.concatenate([left, right]))
        n_texts = len(self._texts)
        one, other = np.searchsorted(self._texts, left), np.searchsorted(self._texts, right)
        ends = np.concatenate([one, other]), np.concatenate([other, one])
        order = np.lexsort((ends[1], ends[0]))
        starts = np.searchsorted(ends[0][order], np.arange(n_texts + 1))
        keeper, self._similarity = np.empty(n_texts, np.int64), np.empty(n_texts)
        kernel.decide(starts, ends[1][order], np.tile(similarity, 2)[order], keeper, self._similarity)
        self._keeper = self._texts[keeper]
        graph = csr_array((np.ones(len(left), np.int8), (one, other)), shape=(n_texts, n_texts))
        n_clusters, cluster = connected_components(graph, directed=False)
        root = np.full(n_clusters, n_texts, np.int64)
        np.minimum.at(root, cluster, np.arange(n_texts))
        self._root = self._texts[root[cluster]]
        self._tokens = np.frombuffer(b"".join(shard.token for shard in corpus.shards), np.uint64)
        self._doc_ids: tuple[np.ndarray, pa.Array] | None = None

    def digest(self, shard: int) -> str:
        """Equal if the verdicts on the shard's documents are, and the documents that stay for them are the same."""
        rows, code, keeper, root, similarity = self._of(shard)
        stays = np.flatnonzero(root >= 0)
        digest = hashlib.blake2b(digest_size=16)
        of_shard = np.searchsorted(self._corpus.starts, keeper[stays], side="right") - 1
        places = keeper[stays] - self._corpus.starts[of_shard]
        for part in (
            stays,
            code[stays],
            self._tokens[of_shard],
            places,
            self._corpus.hashes[root[stays]],
            similarity[stays],
        ):
            digest.update(np.ascontiguousarray(part).data)
        return f"{len(rows)}-{digest.hexdigest()}"

    def batches(self, shard: int) -> Iterator[pa.RecordBatch]:
        """DUPLICATE_ATTRIBUTES of the shard's documents, in the batches of its fingerprints."""
        _, code, keeper, root, similarity = self._of(shard)
        numbers, names = self._names_of_keepers()
        components = pa.array([one.component for one in self._corpus.shards])
        of_shard = np.searchsorted(self._corpus.starts, keeper, side="right") - 1
        first = 0
        for batch in self._corpus.shards[shard].fingerprints(["doc_id"]):
            part = slice(first, first + batch.num_rows)
            first += batch.num_rows
            stays, alone = code[part] == _KEPT, root[part] < 0
            original = np.minimum(np.searchsorted(numbers, keeper[part]), max(len(numbers) - 1, 0))
            columns = [
                batch.column("doc_id"),
                _VERDICTS.take(pa.array(code[part])),
                names.take(pa.array(original, mask=stays)),
                components.take(pa.array(of_shard[part], mask=stays)),
                pa.array(similarity[part].astype(np.float32), mask=stays),
                self._cluster_ids(root[part], alone),
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=DUPLICATE_ATTRIBUTES)

    def _of(self, shard: int) -> tuple[np.ndarray, ...]:
        """(own number, verdict, number of what stays, of the cluster's first text or -1, similarity) of each row."""
        start, end = self._corpus.starts[shard], self._corpus.starts[shard + 1]
        rows = np.arange(start, end)
        first = self._corpus.first[start:end].astype(np.int64)
        keeper, similarity = first.copy(), np.ones(len(rows))
        root = np.where(self._corpus.repeated[start:end], first, -1)
        if len(self._texts):
            place = np.minimum(np.searchsorted(self._texts, first), len(self._texts) - 1)
            near = self._texts[place] == first
            keeper[near], similarity[near] = self._keeper[place[near]], self._similarity[place[near]]
            root[near] = self._root[place[near]]
        code = np.where(keeper == rows, _KEPT, np.where(keeper == first, _EXACT, _NEAR)).astype(np.int8)
        return rows, code, keeper, root, similarity

    def _names_of_keepers(self) -> tuple[np.ndarray, pa.Array]:
        """(numbers ascending, doc_ids) of every document that another goes for."""
        if self._doc_ids is None:
            first = self._corpus.first
            copies = first[first != np.arange(len(first))]
            numbers = ascending(np.concatenate([copies.astype(np.int64), self._keeper]))
            found = [pa.array([], pa.string())]
            for shard, rows in self._corpus.rows_by_shard(numbers):
                found += _names(self._corpus, shard, rows)
            self._doc_ids = numbers, pa.concat_arrays(found)
        return self._doc_ids

    def _cluster_ids(self, root: np.ndarray, alone: np.ndarray) -> pa.Array:
        roots, place = np.unique(root[~alone], return_inverse=True)
        ids = pa.array(
            [as_bytes(self._corpus.hashes[number]).tobytes().hex() for number in roots.tolist()], pa.string()
        )
        index = np.zeros(len(root), np.int64)
        index[~alone] = place
        return ids.take(pa.array(index, mask=alone))


def _names(corpus: Corpus, shard: int, rows: np.ndarray) -> Iterator[pa.Array]:
    first = 0
    for batch in corpus.shards[shard].fingerprints(["doc_id"]):
        start, end = np.searchsorted(rows, [first, first + batch.num_rows])
        yield batch.column("doc_id").take(pa.array(rows[start:end] - first))
        first += batch.num_rows
