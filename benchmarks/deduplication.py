"""Exact deduplication beside what one would write by hand: a Python set, and DuckDB.

All three get the same documents in memory, fold white space alike and name the first copy of each
text; their answers are compared before a time is printed. Only ours works out of core and gives the
same answer whatever the order of its input; the set holds every hash, DuckDB every text.

    python benchmarks/deduplication.py --input ../shared/data/cc_en/*.jsonl.zst

Without --input it makes text by seed. Times are CPU seconds of this process, the median of the rounds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import statistics
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import zstandard

from mathcode_assets.deduplication.exact import PROSE, ExactConfig, fingerprint_documents, resolve

SENTENCE = "let the sum of integers be prime then $x^2$ is even and a function f has limit zero at one"
BATCH_ROWS = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--input", nargs="*", type=Path, help=".jsonl.zst files with a field `text`")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    texts = list(read_texts(arguments.input) if arguments.input else made_texts(20_000))
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    ways: dict[str, Callable[[pa.Table], list[int]]] = {
        "mathcode": by_exchange,
        "python set": by_set,
        "duckdb window": by_duckdb,
    }
    table = pa.table({"doc_id": [str(n) for n in range(len(texts))], "text": pa.array(texts, pa.large_string())})
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    answers = {}
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            start = time.process_time()
            answers[name] = way(table)
            seconds[name].append(time.process_time() - start)
    for name, answer in answers.items():
        assert answer == answers["mathcode"], f"{name} finds other duplicates"
    n_duplicates = sum(first != place for place, first in enumerate(answers["mathcode"]))
    print(f"{len(texts):,} documents, {megabytes:.1f} MB, {n_duplicates:,} exact duplicates found by each")
    ours = statistics.median(seconds["mathcode"])
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"{name:<16}{median:8.2f} CPU-s {megabytes / median:8.0f} MB/s {median / ours:6.2f} x our time")


def by_exchange(table: pa.Table) -> list[int]:
    batches = table.to_batches(max_chunksize=BATCH_ROWS)
    config = ExactConfig(preference=("texts",))
    first = []
    with tempfile.TemporaryDirectory() as folder:
        fingerprints = [("texts", "all", fingerprint_documents(batches, PROSE))]
        for partition in resolve(fingerprints, work_dir=Path(folder), config=config):
            for batch in partition.batches:
                pairs = zip(batch["duplicate_of"].to_pylist(), batch["doc_id"].to_pylist(), strict=True)
                first += [int(original or own) for original, own in pairs]
    return first


def by_set(table: pa.Table) -> list[int]:
    first: dict[bytes, int] = {}
    found = []
    for place, value in enumerate(table["text"]):
        folded = " ".join(unicodedata.normalize("NFC", value.as_py()).split())
        digest = hashlib.blake2b(folded.encode(), digest_size=16).digest()
        found.append(first.setdefault(digest, place))
    return found


def by_duckdb(table: pa.Table) -> list[int]:
    connection = duckdb.connect(config={"threads": 1})
    connection.register("documents", table)
    query = r"""
        SELECT min(place) OVER (PARTITION BY folded) FROM (
            SELECT doc_id::INT AS place,
                   md5(trim(regexp_replace(nfc_normalize(text), '\s+', ' ', 'g'))) AS folded FROM documents)
        ORDER BY place"""
    return [row[0] for row in connection.execute(query).fetchall()]


def read_texts(paths: Sequence[Path]) -> Iterator[str]:
    for path in sorted(paths):
        for line in zstandard.open(path, "rb").read().split(b"\n"):
            if line:
                yield json.loads(line)["text"]


def made_texts(n_texts: int) -> Iterator[str]:
    """Texts of some 2 kB, one in ten a copy of an earlier one with other line ends."""
    draw = random.Random(3407)
    made: list[str] = []
    for _ in range(n_texts):
        if made and draw.random() < 0.1:
            yield draw.choice(made).replace(" ", "\n", 5)
        else:
            made.append(" ".join(draw.choices(SENTENCE.split(), k=400)))
            yield made[-1]


if __name__ == "__main__":
    main()
