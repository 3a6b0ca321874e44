"""Deduplication of a corpus of any size: time, peak memory, recall, and what one more shard costs.

The corpus is made of real shards, copy after copy, with 40 % of the words of each copy drawn anew by seed, so that
copies are no duplicates of each other; and of planted ones: 10 % of its documents are in clusters of two to five, equal
or with words changed, spread over the shards. Making it is not counted; without --input it is what the folder holds (a
corpus of 1 GB is the first shards of one of 10). Then, each step a process of its own:

    fingerprints   of every shard, as attributes/fingerprints/* hold them
    rebuild        the global step over all shards, verdict tables written
    all but one    the same without the last shard, as what an update starts from
    update         the last shard's fingerprints, the global step with that index, changed verdict tables written

The tables and the index of the update are compared with those of the rebuild byte by byte.

    python benchmarks/deduplication_scale.py --input ../shared/data/cc_en/*.jsonl.zst --gigabytes 1 --folder /tmp/corpus
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import zstandard

from mathcode_assets.deduplication.config import DeduplicationConfig
from mathcode_assets.deduplication.exact import PROSE
from mathcode_assets.deduplication.fingerprints import fingerprint_documents, shingle_sets
from mathcode_assets.deduplication.resolution import resolve
from mathcode_assets.deduplication.texts import Shard, texts_of_file
from mathcode_assets.records import DUPLICATE_ATTRIBUTES, FINGERPRINT
from mathcode_assets.storage.shards import read_batches, row_groups

RESAMPLED = 0.4
PLANTED = 0.1
EDITS = (0.0, 0.004, 0.008, 0.015, 0.021)  # share of words changed in a planted copy; at 0.021 Jaccard is 0.8
CONFIG = DeduplicationConfig(preference=("corpus",))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--input", nargs="*", type=Path, help=".jsonl.zst files with a field `text`")
    parser.add_argument("--folder", type=Path, required=True, help="for the corpus and everything made from it")
    parser.add_argument("--gigabytes", type=float, default=0.3)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        STEPS[arguments.step](arguments.folder)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        seconds = usage.ru_utime + usage.ru_stime
        # Not ru_maxrss, which a new process takes over from the one that started it.
        peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        print(json.dumps({"cpu_s": seconds, "peak_mib": int(peak.split()[1]) / 1024}))
        return
    if arguments.input:
        make_corpus(arguments.input, arguments.folder, arguments.gigabytes)
    for made in ("fingerprints", "rebuild", "before", "update"):
        shutil.rmtree(arguments.folder / made, ignore_errors=True)
    n_bytes, n_documents = size_of(arguments.folder)
    shards = sorted((arguments.folder / "documents").iterdir())
    print(f"{n_bytes / 1e9:.2f} GB of text, {n_documents:,} documents, {len(shards)} shards")
    for step in STEPS:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, __file__, "--folder", str(arguments.folder), "--step", step],
            check=True,
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - start
        *said, usage = done.stdout.splitlines()
        found = json.loads(usage)
        print(f"{step:<14}{found['cpu_s']:9.1f} CPU-s {seconds:9.1f} s {found['peak_mib']:8.0f} MiB peak")
        for line in said:
            print(" " * 14 + line)
    compare(arguments.folder)


def size_of(folder: Path) -> tuple[int, int]:
    """(bytes of text, documents)."""
    n_bytes = n_documents = 0
    for name in names_of(folder):
        for batch in read_batches(folder / "documents" / name, columns=["text"]):
            n_bytes += pc.sum(pc.binary_length(batch.column("text"))).as_py()
            n_documents += batch.num_rows
    return n_bytes, n_documents


def make_corpus(paths: Sequence[Path], folder: Path, gigabytes: float) -> None:
    """Shards of documents, one for each copy of the input."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "documents").mkdir(parents=True)
    texts = [
        json.loads(line)["text"]
        for path in sorted(paths)
        for line in zstandard.open(path, "rb").read().split(b"\n")
        if line
    ]
    # A word with the one character after it, so that lines stay lines.
    words: list[str] = []
    sizes = []
    for text in texts:
        found = [word + " " for line in text.split("\n") for word in (line.split() or [""])]
        sizes.append(len(found))
        words += found
    encoded = pa.array(words, pa.large_string()).dictionary_encode()
    vocabulary, numbers = encoded.dictionary, encoded.indices.to_numpy().astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    del words, texts, encoded
    n_bytes = copy = 0
    waiting: list[tuple[str, str]] = []
    while n_bytes < gigabytes * 1e9:
        draw = np.random.default_rng(copy)
        chosen = np.flatnonzero(draw.random(len(numbers)) < RESAMPLED)
        changed = numbers.copy()
        changed[chosen] = numbers[draw.integers(0, len(numbers), len(chosen))]
        made = joined(vocabulary.take(pa.array(changed)), starts)
        ids = [f"{copy:05d}-{row:06d}" for row in range(len(made))]
        now, waiting = waiting, []
        plants = [plant for plant in planted(made, ids, draw)]
        later = draw.random(len(plants)) < 0.5
        now += [plant for plant, wait in zip(plants, later, strict=True) if not wait]
        waiting = [plant for plant, wait in zip(plants, later, strict=True) if wait]
        whole = pa.concat_arrays([made, pa.array([text for _, text in now], pa.large_string())])
        order = pa.array(draw.permutation(len(whole)))
        table = pa.table({"doc_id": pa.array(ids + [name for name, _ in now]).take(order), "text": whole.take(order)})
        pq.write_table(table, folder / "documents" / f"{copy:05d}.parquet", compression="zstd", row_group_size=2000)
        n_bytes += sum(len(buffer) for buffer in made.buffers()[2:]) + sum(len(text) for _, text in now)
        copy += 1


def joined(words: pa.Array, starts: np.ndarray) -> pa.Array:
    """The words of each document put together again, without a copy."""
    offsets = np.frombuffer(words.buffers()[1], np.int64)[: len(words) + 1]
    borders = np.ascontiguousarray(offsets[starts])
    return pa.LargeStringArray.from_buffers(len(starts) - 1, pa.py_buffer(borders), words.buffers()[2])


def planted(texts: pa.Array, ids: Sequence[str], draw: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Copies of some documents, in all with their originals a tenth of all; the id says of which one."""
    n_clusters = int(len(texts) * PLANTED / 3.5)
    for row in draw.choice(len(texts), n_clusters, replace=False).tolist():
        words = texts[row].as_py().split(" ")
        for number in range(draw.integers(1, 5)):
            copy = list(words)
            share = EDITS[draw.integers(0, len(EDITS))]
            for place in draw.integers(0, len(words), int(len(words) * share)).tolist():
                copy[place] = words[draw.integers(0, len(words))]
            yield f"{ids[row]}+{number}", " ".join(copy)


def shard(folder: Path, name: str) -> Shard:
    fingerprints = folder / "fingerprints" / name
    return Shard(
        component="corpus",
        partition=name.removesuffix(".parquet"),
        version=fingerprints.with_suffix(".sha256").read_text(),
        fingerprints=lambda columns: read_batches(fingerprints, columns=columns),
        texts=lambda rows: texts_of_file(folder / "documents" / name, rows),
    )


def write_fingerprints(folder: Path, names: Sequence[str]) -> None:
    (folder / "fingerprints").mkdir(exist_ok=True)
    for name in names:
        batches = fingerprint_documents(read_batches(folder / "documents" / name), PROSE)
        with pq.ParquetWriter(folder / "fingerprints" / name, FINGERPRINT, compression="zstd") as writer:
            for group in row_groups(batches, FINGERPRINT):
                writer.write_table(group)
        version = hashlib.sha256((folder / "fingerprints" / name).read_bytes()).hexdigest()  # as a manifest has it
        (folder / "fingerprints" / name).with_suffix(".sha256").write_text(version)


def write_verdicts(folder: Path, names: Sequence[str], into: str, previous: str | None) -> None:
    """The global step, the verdict tables that changed, and what it found."""
    target = folder / into
    if previous:
        shutil.copytree(folder / previous / "verdicts", target / "verdicts")
    (target / "verdicts").mkdir(parents=True, exist_ok=True)
    (target / "index").mkdir()
    counts = {"kept": 0, "exact_duplicate": 0, "near_duplicate": 0}
    n_written = 0
    start = time.process_time()
    for found in resolve(
        (shard(folder, name) for name in names),
        work_dir=folder,
        config=CONFIG,
        previous=folder / previous / "index" if previous else None,
        index=target / "index",
    ):
        if not found.changed:
            continue
        n_written += 1
        with pq.ParquetWriter(target / "verdicts" / f"{found.partition}.parquet", DUPLICATE_ATTRIBUTES) as writer:
            for group in row_groups(found.batches, DUPLICATE_ATTRIBUTES):
                for entry in group.column("verdict").value_counts().to_pylist():
                    counts[entry["values"]] += entry["counts"]
                writer.write_table(group)
    seconds = time.process_time() - start
    print(f"global step {seconds:.1f} CPU-s; {n_written} of {len(names)} tables written: {counts}")


def names_of(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "documents").iterdir())


def update(folder: Path) -> None:
    last = names_of(folder)[-1:]
    start = time.process_time()
    write_fingerprints(folder, last)
    print(f"fingerprints of the shard {time.process_time() - start:.1f} CPU-s")
    write_verdicts(folder, names_of(folder), "update", "before")


STEPS = {
    "fingerprints": lambda folder: write_fingerprints(folder, names_of(folder)),
    "rebuild": lambda folder: write_verdicts(folder, names_of(folder), "rebuild", None),
    "all but one": lambda folder: write_verdicts(folder, names_of(folder)[:-1], "before", None),
    "update": update,
}


def compare(folder: Path) -> None:
    """The update against the rebuild, and the plants against the verdicts."""
    for part in ("verdicts", "index"):
        one, other = (
            {path.name: path.read_bytes() for path in sorted((folder / name / part).iterdir())}
            for name in ("rebuild", "update")
        )
        print(f"{part}: {len(one)} files, update and rebuild {'equal' if one == other else 'DIFFER'}")
    verdicts = {}
    for path in sorted((folder / "rebuild" / "verdicts").iterdir()):
        table = pq.read_table(path, columns=["doc_id", "verdict", "cluster", "duplicate_of"])
        for row in table.filter(pc.is_valid(table["cluster"])).to_pylist():
            verdicts[row["doc_id"]] = row["verdict"], row["cluster"], row["duplicate_of"]
    texts: dict[str, str] = {}
    for name in names_of(folder)[:20]:
        for row in pq.read_table(folder / "documents" / name).to_pylist():
            if "+" in row["doc_id"] or row["doc_id"] in verdicts:
                texts[row["doc_id"]] = row["text"]
    check(verdicts, texts)


def check(verdicts: dict[str, tuple[str, str, str | None]], texts: dict[str, str]) -> None:
    """Recall over planted pairs at 0.8 or above, precision over pairs that a verdict names."""

    def jaccard(one: str, other: str) -> float:
        left, right = shingle_sets(pa.array([texts[one], texts[other]], pa.large_string()), PROSE)
        both = len(np.intersect1d(left, right, assume_unique=True))
        return both / max(len(left) + len(right) - both, 1)

    n_pairs = n_found = n_named = n_right = 0
    at_the_bar = [0, 0]
    for name in texts:
        original = name.split("+")[0]
        if "+" in name and original in texts and (near := jaccard(name, original)) >= CONFIG.threshold:
            found = name in verdicts and original in verdicts and verdicts[name][1] == verdicts[original][1]
            n_pairs, n_found = n_pairs + 1, n_found + found
            if near < CONFIG.threshold + 0.05:
                at_the_bar = [at_the_bar[0] + 1, at_the_bar[1] + found]
        named = verdicts[name][2] if name in verdicts else None
        if named in texts and verdicts[name][0] == "near_duplicate":
            n_named, n_right = n_named + 1, n_right + (jaccard(name, named) >= CONFIG.threshold)
    print(f"planted pairs at 0.8 or above: {n_found:,} of {n_pairs:,} in one cluster")
    print(f"of these at 0.80 to 0.85:      {at_the_bar[1]:,} of {at_the_bar[0]:,}")
    print(f"near duplicates named:         {n_right:,} of {n_named:,} at 0.8 or above")


if __name__ == "__main__":
    main()
