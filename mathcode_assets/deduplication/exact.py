"""Exact deduplication across all components: equal texts found by hash, one copy of each kept.

Three steps, the middle one global:

1. `fingerprint_documents` maps documents to FINGERPRINT rows, one for each, in their order. A
   partition's fingerprints depend on nothing else, so they are made once and kept.
2. `resolve` gathers the fingerprints of every partition of every component, through bucket files in
   a folder of the caller's, and decides which copy of a text stays.
3. It gives back DUPLICATE_ATTRIBUTES rows, partition by partition, in each partition's own row order.

"The same text" depends on the kind of text (`PROSE`, `CODE`), and texts of two kinds are never the
same. What stays is a matter of stated preference, never of which partition came first.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from mathcode_assets.deduplication.clusters import Spool, resolve_clusters
from mathcode_assets.records import FINGERPRINT
from mathcode_assets.text.pieces import pieces_at_white_space

HASH_BYTES = 16  # at 10^10 texts the chance of one false match is below 10^-18
ROW_BATCH = 1000
ROW_BATCH_CHARS = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TextKind:
    """What counts as the same text: `normalise` yields the pieces of text that are hashed."""

    name: str
    normalise: Callable[[str], Iterator[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactConfig:
    """Which copy stays, and how far the work is spread.

    Attributes:
        preference: components, the one whose copy stays first. All copies of a text are equal, so
            this decides which licence, address and component it goes under: curated sources before
            crawls, human text before generated.
        code_components: components whose texts are compared as `CODE`.
        n_buckets: bucket files; one is in memory at a time. 64 makes a bucket of 300,000 rows
            (some 30 MB) of the paper's 19.5 million documents.
    """

    preference: Sequence[str] = (
        "textbooks",
        "open_web_math",
        "cc_en_math",
        "code_python",
        "code_jupyter_structured",
        "code_jupyter_scripts",
        "synthetic",
        "translated_open_web_math",
        "translated_cc_en_math",
    )
    # Translated documents hold Python in fences, where indentation matters too.
    code_components: Sequence[str] = (
        "code_python",
        "code_jupyter_structured",
        "code_jupyter_scripts",
        "translated_open_web_math",
        "translated_cc_en_math",
    )
    n_buckets: int = 64

    def kind_of(self, component: str) -> TextKind:
        """How the texts of a component are compared."""
        return CODE if component in self.code_components else PROSE


class PartitionVerdicts(NamedTuple):
    """One partition's verdicts: DUPLICATE_ATTRIBUTES batches in the partition's row order."""

    component: str
    partition: str
    batches: Iterator[pa.RecordBatch]


def normalised_prose(text: str) -> Iterator[str]:
    """Pieces of a prose text: NFC, every run of white space one space, none at the ends.

    Case stays. We use NFC and not NFKC, which makes `x²` and `x2`, `2⁵` and `25` the same text.
    """
    separator = ""
    for piece in pieces_at_white_space(unicodedata.normalize("NFC", text)):
        words = piece.split()
        if words:
            yield separator + " ".join(words)
            separator = " "


def normalised_code(text: str) -> Iterator[str]:
    """Pieces of a program: line ends as LF, no white space at line ends, no blank lines at the ends.

    Indentation, case, inner space, blank lines within and the Unicode form of literals mean
    something in a program and stay. A byte order mark at the start goes.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    yield "\n".join([line.rstrip(" \t") for line in text.split("\n")]).strip("\n")


PROSE = TextKind(name="prose", normalise=normalised_prose)
CODE = TextKind(name="code", normalise=normalised_code)


def content_hash(text: str, kind: TextKind) -> bytes:
    """16 bytes, equal for two texts exactly if they are the same text of the same kind."""
    digest = hashlib.blake2b(digest_size=HASH_BYTES, person=kind.name.encode())
    for piece in kind.normalise(text):
        digest.update(piece.encode())
    return digest.digest()


def fingerprint_documents(batches: Iterable[pa.RecordBatch], kind: TextKind) -> Iterator[pa.RecordBatch]:
    """FINGERPRINT rows, one for each document, in the same order and batches.

    Args:
        batches: of DOCUMENT, or any with the columns `doc_id` and `text`.
        kind: PROSE or CODE, see `ExactConfig.kind_of`.
    """
    for batch in batches:
        hashes, lengths = [], []
        for value in batch.column("text"):
            text = value.as_py()
            hashes.append(content_hash(text, kind))
            lengths.append(len(text))
        columns = [
            batch.column("doc_id").cast(pa.string()),
            pa.array(hashes, pa.binary(HASH_BYTES)),
            pa.array(lengths, pa.int64()),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=FINGERPRINT)


def resolve(
    fingerprints: Iterable[tuple[str, str, Iterable[pa.RecordBatch]]],
    *,
    work_dir: Path,
    config: ExactConfig | None = None,
) -> Iterator[PartitionVerdicts]:
    """Verdicts of every partition, components in order of preference, then partitions by key.

    Of the copies of a text the one stays that comes first by (component preference, partition key,
    row). The order in which partitions are given does not matter. A row is known by its place, so a
    doc_id may occur many times. Every partition given comes back, also one without rows.

    Like `itertools.groupby`, the batches of a partition must be read before the next one is asked
    for. Memory: one bucket (see `ExactConfig.n_buckets`); disk: some 110 bytes a document in `work_dir`,
    gone when the iterator ends or is closed.

    Args:
        fingerprints: (component, partition key, FINGERPRINT batches), each partition once.
        work_dir: an existing local folder for scratch files.
        config: default `ExactConfig()`.

    Raises:
        ValueError: a component is not in `preference`, or a partition comes twice.
    """
    config = config or ExactConfig()
    preference = {component: place for place, component in enumerate(config.preference)}
    with tempfile.TemporaryDirectory(dir=work_dir, prefix="exact-") as folder:
        spool = Spool(Path(folder), n_buckets=config.n_buckets)
        with spool:
            for component, partition, batches in fingerprints:
                if component not in preference:
                    raise ValueError(f"component {component!r} is not in the preference {list(preference)}")
                spool.add((preference[component], partition), component, batches)
        for (_, partition), component, verdicts in resolve_clusters(spool):
            yield PartitionVerdicts(component, partition, verdicts)


def deduplicate_rows(
    rows: Iterable[Mapping[str, Any]], *, work_dir: Path, kind: TextKind = PROSE
) -> Iterator[dict[str, Any]]:
    """One row for each row, in order: `id, verdict, duplicate_of, cluster`; the first copy stays.

    Args:
        rows: with `id` (any JSON value, need not be unique) and `text`.
        work_dir: an existing local folder for scratch files.
        kind: how texts are compared.
    """
    config = ExactConfig(preference=("rows",), code_components=())
    fingerprints = fingerprint_documents(_row_batches(rows), kind)
    for _, _, batches in resolve([("rows", "", fingerprints)], work_dir=work_dir, config=config):
        for batch in batches:
            for row in batch.to_pylist():
                original = row["duplicate_of"]
                yield {
                    "id": json.loads(row["doc_id"]),
                    "verdict": row["verdict"],
                    "duplicate_of": None if original is None else json.loads(original),
                    "cluster": row["cluster"],
                }


def _row_batches(rows: Iterable[Mapping[str, Any]]) -> Iterator[pa.RecordBatch]:
    """Batches of `doc_id` (the id as JSON, so that 7 and "7" come back as they were) and `text`."""
    ids: list[str] = []
    texts: list[str] = []
    size = 0
    for row in rows:
        ids.append(json.dumps(row["id"]))
        texts.append(row["text"])
        size += len(row["text"])
        if len(ids) >= ROW_BATCH or size >= ROW_BATCH_CHARS:
            yield _row_batch(ids, texts)
            ids, texts, size = [], [], 0
    if ids:
        yield _row_batch(ids, texts)


def _row_batch(ids: list[str], texts: list[str]) -> pa.RecordBatch:
    return pa.record_batch([pa.array(ids), pa.array(texts, pa.large_string())], names=["doc_id", "text"])
