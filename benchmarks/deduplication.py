"""Deduplication beside what a user would pick instead, on the same documents in one run.

Near duplicates (word 5-grams, Jaccard 0.8), from text to the documents that go:

    mathcode    exact and near, candidates compared exactly
    rensa       shingles in Python by the fastest way found, its MinHash and its LSH; candidates are not compared
    datasketch  the same shingles, its MinHash (batch) and its LSH; on a part of the documents, it is slow
    datatrove   the signatures alone, on a part

Exact duplicates alone, each giving the first copy of every text, which are compared before a time is printed:

    mathcode    fingerprints without a use of their bands
    python set  of BLAKE2b hashes
    duckdb      a window function

Only ours works out of core, across shards, and gives the same answer whatever their order.

    python benchmarks/deduplication.py --input ../shared/data/cc_en/*.jsonl.zst --peers PEERS

Without --input it makes text by seed. Peers that are not installed are left out. Times are CPU seconds (user, system)
of this process. The ways take turns in every round, each beginning with strings nobody has looked at yet, with nothing
left to collect and without the collector of cycles, which only costs those that make many lists. The figures are
medians; how many times as fast as another is told round by round. Run it with OMP_NUM_THREADS=1 RAYON_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import random
import statistics
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import zstandard

from mathcode_assets.deduplication.config import DeduplicationConfig
from mathcode_assets.deduplication.exact import PROSE
from mathcode_assets.deduplication.fingerprints import fingerprint_documents
from mathcode_assets.deduplication.resolution import resolve
from mathcode_assets.deduplication.texts import Shard

SENTENCE = "let the sum of integers be prime then $x^2$ is even and a function f has limit zero at one"
BATCH_ROWS = 500
SLOW_PEER_DOCUMENTS = 150
Way = Callable[[list[str]], int]  # texts to how many of them go


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--input", nargs="*", type=Path, help=".jsonl.zst files with a field `text`")
    parser.add_argument("--peers", type=Path, help="site-packages of an environment that has the peers")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    if arguments.peers:
        sys.path.append(str(arguments.peers))  # last: what is installed here comes first
    encoded = [text.encode() for text in (read_texts(arguments.input) if arguments.input else made_texts(20_000))]
    print(f"{len(encoded):,} documents, {sum(map(len, encoded)) / 1e6:.1f} MB, {arguments.rounds} rounds")
    near: dict[str, Way] = {"mathcode": by_bands, **near_peers()}
    show("near duplicates", *measured(near, encoded, arguments.rounds))
    exact: dict[str, Way] = {"mathcode": by_hash, "python set": by_set, "duckdb": by_duckdb}
    found, speeds = measured(exact, encoded, arguments.rounds)
    assert len(set(found.values())) == 1, "they find other duplicates"
    show("exact duplicates", found, speeds)


def measured(
    ways: dict[str, Way], encoded: Sequence[bytes], rounds: int
) -> tuple[dict[str, int], dict[str, list[float]]]:
    """(documents found, MB per CPU-second in each round) of each way, rounds interleaved."""
    found: dict[str, int] = {}
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            some = encoded[:SLOW_PEER_DOCUMENTS] if is_slow(name) else encoded
            texts = [text.decode() for text in some]
            gc.collect()
            gc.disable()
            start = time.process_time()
            found[name] = way(texts)
            seconds = time.process_time() - start
            gc.enable()
            if number:  # the first round compiles and warms
                speeds[name].append(sum(map(len, some)) / 1e6 / seconds)
    return found, speeds


def show(title: str, found: dict[str, int], speeds: dict[str, list[float]]) -> None:
    print(title)
    ours = speeds["mathcode"]
    for name, values in speeds.items():
        times = statistics.median(one / other for one, other in zip(ours, values, strict=True))
        print(
            f"  {name:<30}{statistics.median(values):7.1f} MB per CPU-s ({min(values):.1f} to {max(values):.1f})"
            f"   mathcode is {times:.2f} times as fast   {found[name]:,} documents go"
        )


def is_slow(name: str) -> bool:
    return name.startswith(("datasketch", "datatrove"))


def near_peers() -> dict[str, Way]:
    """The peers that are installed."""
    ways: dict[str, Way] = {}
    try:
        import rensa

        ways["rensa"] = lambda texts: by_rensa(rensa, texts)
        ways["rensa, hashes given"] = lambda texts: by_rensa_hashes(rensa, texts)
    except ImportError:
        print("  rensa is not installed")
    try:
        import datasketch

        ways["datasketch (a part)"] = lambda texts: by_datasketch(datasketch, texts)
    except ImportError:
        print("  datasketch is not installed")
    try:
        from datatrove.data import Document
        from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
        from datatrove.utils.hashing import HashConfig

        def by_datatrove(texts: list[str]) -> int:
            with tempfile.TemporaryDirectory() as folder:
                config = MinhashConfig(
                    n_grams=5, num_buckets=21, hashes_per_bucket=6, hash_config=HashConfig(hash_fc="sha1")
                )
                documents = (Document(text=text, id=str(number)) for number, text in enumerate(texts))
                MinhashDedupSignature(folder, config).run(documents)
            return 0

        ways["datatrove signatures (a part)"] = by_datatrove
    except ImportError:
        print("  datatrove is not installed")
    return ways


def in_memory(texts: Sequence[str]) -> Shard:
    def documents() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(texts), BATCH_ROWS):
            some = texts[start : start + BATCH_ROWS]
            ids = [str(number) for number in range(start, start + len(some))]
            yield pa.record_batch({"doc_id": ids, "text": pa.array(some, pa.large_string())})

    kept = list(fingerprint_documents(documents(), PROSE))
    return Shard(
        component="texts",
        partition="all",
        version="",
        fingerprints=lambda columns: (batch.select(list(columns)) for batch in kept),
        texts=lambda rows: [pa.array([texts[row] for row in rows.tolist()], pa.large_string())],
    )


def ours(texts: Sequence[str], *, near: bool) -> int:
    config = DeduplicationConfig(preference=("texts",), near=near)
    with tempfile.TemporaryDirectory() as folder:
        verdicts = [
            batch.column("verdict").to_numpy(zero_copy_only=False)
            for found in resolve([in_memory(texts)], work_dir=Path(folder), config=config)
            for batch in found.batches
        ]
    return int((np.concatenate(verdicts) != "kept").sum())


def by_bands(texts: list[str]) -> int:
    return ours(texts, near=True)


def by_hash(texts: list[str]) -> int:
    return ours(texts, near=False)


def shingles(text: str) -> list[bytes]:
    """As bytes, the fastest way found: of strings with a character beyond ASCII each would be encoded by itself."""
    words = text.encode().split()
    return list(map(b" ".join, zip(words, words[1:], words[2:], words[3:], words[4:], strict=False))) or [text.encode()]


def by_rensa(rensa: Any, texts: list[str]) -> int:
    digests = rensa.RMinHash.digest_matrix_from_token_byte_sets([shingles(text) for text in texts], 126, 42)
    return sum(rensa.RMinHashLSH(0.8, 126, 21).insert_matrix_and_query_duplicate_flags(digests))


def by_rensa_hashes(rensa: Any, texts: list[str]) -> int:
    """Python's hash of the words in place of joined strings: faster, and other in every process."""
    sets = []
    for text in texts:
        words = text.split()
        grams = zip(words, words[1:], words[2:], words[3:], words[4:], strict=False)
        sets.append([hash(gram) & 0xFFFFFFFFFFFFFFFF for gram in grams] or [hash(text) & 0xFFFFFFFFFFFFFFFF])
    digests = rensa.RMinHash.digest_matrix_from_token_hash_sets(sets, 126, 42)
    return sum(rensa.RMinHashLSH(0.8, 126, 21).insert_matrix_and_query_duplicate_flags(digests))


def by_datasketch(datasketch: Any, texts: list[str]) -> int:
    index = datasketch.MinHashLSH(num_perm=126, params=(21, 6))
    n_found = 0
    for number, signature in enumerate(datasketch.MinHash.generator(map(shingles, texts), num_perm=126)):
        n_found += bool(index.query(signature))
        index.insert(str(number), signature)
    return n_found


def by_set(texts: list[str]) -> int:
    seen = set()
    for text in texts:
        folded = " ".join(unicodedata.normalize("NFC", text).split())
        seen.add(hashlib.blake2b(folded.encode(), digest_size=16).digest())
    return len(texts) - len(seen)


def by_duckdb(texts: list[str]) -> int:
    connection = duckdb.connect(config={"threads": 1})
    connection.register("documents", pa.table({"text": pa.array(texts, pa.large_string())}))
    query = r"""
        SELECT count(*) - count(DISTINCT md5(trim(regexp_replace(nfc_normalize(text), '\s+', ' ', 'g'))))
        FROM documents"""
    return int(connection.execute(query).fetchall()[0][0])


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
