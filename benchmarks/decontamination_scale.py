"""Time and memory of the decontamination scan as the corpus grows.

    python benchmarks/decontamination_scale.py make --documents DIR --output DIR --gigabytes 10
    python benchmarks/decontamination_scale.py scan --corpus DIR --benchmarks DIR --gigabytes 1
    python benchmarks/decontamination_scale.py add  --corpus DIR --benchmarks DIR --gigabytes 1 --new gsm8k math

`make` writes Parquet files of real documents, copied as often as it takes; in every copy 40 % of the words are drawn
anew from the document's own file, by seed, so that copies are no duplicates. `scan` runs in a process of its own and
prints CPU seconds and peak memory; run it for several sizes to see both. `add` compares a full scan with one for
each of some added benchmarks, with the stored index of the corpus and without, and with one for an added file; it ends
with an error where the files of the two differ by a byte. Tables are read and written as the lake does it, hashes of
the files included. Without a benchmark's matches, a full scan is what it would have been without the benchmark (a
test has it so): that is how the scans from before are made.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.decontamination import document_batches, items_of
from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.decontamination.corpus_index import candidate_rows, index_documents
from mathcode_assets.decontamination.frequencies import count_frequencies
from mathcode_assets.decontamination.incremental import difference, rescan_candidates, rescan_documents
from mathcode_assets.decontamination.index import BenchmarkIndex, build_index
from mathcode_assets.decontamination.items import prepare_items
from mathcode_assets.decontamination.scan import scan_documents
from mathcode_assets.records import CONTAMINATION_ATTRIBUTES, CORPUS_NGRAMS
from mathcode_assets.storage.shards import file_sha256, read_batches, read_rows, write_shards

RESAMPLED = 0.4  # of the words
FILE_BYTES = 250_000_000
ROW_GROUP_BYTES = 16_000_000
SCHEMA = pa.schema([("doc_id", pa.string()), ("text", pa.large_string())])


def main() -> None:
    """One of the three commands."""
    arguments = _arguments()
    if arguments.command == "make":
        make_corpus(arguments.documents, arguments.output, int(arguments.gigabytes * 1e9))
        return
    frequencies = count_frequencies(prepare_items(items_of(arguments.benchmarks), DecontaminationConfig()))
    index = build_index(items_of(arguments.benchmarks), frequencies=frequencies)
    files = _files(arguments.corpus, int(arguments.gigabytes * 1e9))
    with tempfile.TemporaryDirectory() as folder:
        if arguments.command == "scan":
            _print_scan(index, files, Path(folder))
        else:
            _print_add(index, arguments.new, files, Path(folder), not arguments.skip_reading)


def make_corpus(places: list[Path], folder: Path, size: int) -> None:
    """Files of about 250 MB of text, until there is enough."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = [text for batch in document_batches(places) for text in batch["text"].to_pylist()]
    split = pc.split_pattern(pa.array(texts, pa.large_string()), " ")
    words, borders = split.values, split.offsets.to_numpy()
    sizes = np.array([len(text.encode()) for text in texts])
    written = number = 0
    while written < size:
        rng = np.random.default_rng(number)
        order = np.tile(rng.permutation(len(texts)), FILE_BYTES // int(sizes.sum()) + 1)
        drawn = np.concatenate([np.arange(borders[k], borders[k + 1]) for k in order[:2000]])
        group = np.cumsum(sizes[order]) // ROW_GROUP_BYTES
        filled = 0
        with pq.ParquetWriter(folder / f"part-{number:04d}.parquet", SCHEMA, compression="zstd") as writer:
            for first, last in itertools.pairwise(np.searchsorted(group, np.arange(group[-1] + 1))):
                some = order[first:last]
                table = _resampled(words, borders, some, drawn, rng)
                names = [f"{number}-{first + place}-{k}" for place, k in enumerate(some)]
                writer.write_table(pa.Table.from_arrays([pa.array(names), table], schema=SCHEMA))
                filled += table.nbytes
                if filled >= FILE_BYTES or written + filled >= size:
                    break
        written, number = written + filled, number + 1
        print(f"{written / 1e9:.2f} GB", flush=True)


def _resampled(
    words: pa.Array, borders: np.ndarray, some: np.ndarray, drawn: np.ndarray, rng: np.random.Generator
) -> pa.Array:
    """Some of the texts with words drawn anew; ``words`` between ``borders`` are those of all of them."""
    own = [np.arange(borders[k], borders[k + 1]) for k in some]
    place = np.concatenate(own)
    change = rng.random(len(place)) < RESAMPLED
    place[change] = drawn[rng.integers(0, len(drawn), int(change.sum()))]
    offsets = np.concatenate([[0], np.cumsum([len(k) for k in own])])
    texts = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), words.take(pa.array(place)))
    return pc.binary_join(texts, pa.scalar(" ", pa.large_string()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make")
    make.add_argument("--documents", type=Path, nargs="+", required=True)
    make.add_argument("--output", type=Path, required=True)
    for name in ("scan", "add"):
        command = commands.add_parser(name)
        command.add_argument("--corpus", type=Path, required=True)
        command.add_argument("--benchmarks", type=Path, required=True)
        command.add_argument("--new", nargs="+", default=["gsm8k"], help="benchmarks, each of which is added")
        command.add_argument("--skip-reading", action="store_true", help="do not add them by reading all texts as well")
    for command in commands.choices.values():
        command.add_argument("--gigabytes", type=float, default=1.0, help="of text")
    return parser.parse_args()


def _files(folder: Path, size: int) -> list[Path]:
    """The first files of a corpus, until there is enough."""
    found, total = [], 0
    for path in sorted(folder.glob("*.parquet")):
        if total >= size:
            break
        total += _bytes(path)
        found.append(path)
    return found


def _bytes(path: Path) -> int:
    """Uncompressed size of a file's columns, nearly all of it text."""
    meta = pq.ParquetFile(path).metadata
    return sum(meta.row_group(k).total_byte_size for k in range(meta.num_row_groups))


def _write(folder: Path, path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Path:
    """The table of a file of the corpus in a folder."""
    folder.mkdir(exist_ok=True)
    (written,) = write_shards(batches, schema, new_path=iter([folder / path.name]))
    return written.path


def _timed(run: Callable[[Path], Iterable[pa.RecordBatch]], files: list[Path], folder: Path) -> float:
    """CPU seconds of attributes made of each file and written to a folder."""
    start = time.process_time()
    for path in files:
        _write(folder, path, CONTAMINATION_ATTRIBUTES, run(path))
    return time.process_time() - start


def _documents(path: Path, columns: tuple[str, ...] = ("doc_id", "text")) -> Iterator[pa.RecordBatch]:
    return read_batches(path, columns=columns)


def _peak() -> str:
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB"


def _print_scan(index: BenchmarkIndex, files: list[Path], folder: Path) -> None:
    list(scan_documents([next(_documents(files[0]))], index))  # compile before the clock starts
    size = sum(_bytes(path) for path in files) / 1e9
    seconds = _timed(lambda path: scan_documents(_documents(path), index), files, folder / "full")
    print(
        f"{size:.2f} GB in {len(files)} files: {seconds:.1f} CPU-s, {1000 * size / seconds:.1f} MB/CPU-s, "
        f"peak {_peak()}"
    )


def _print_add(index: BenchmarkIndex, new: list[str], files: list[Path], folder: Path, by_reading: bool) -> None:
    first = next(_documents(files[0]))
    list(scan_documents([first], index))
    candidate_rows(index_documents([first]), index)
    size, packed = sum(_bytes(path) for path in files), sum(path.stat().st_size for path in files)
    n_documents = sum(pq.ParquetFile(path).metadata.num_rows for path in files)
    full = _timed(lambda path: scan_documents(_documents(path), index), files, folder / "full")
    print(f"{size / 1e9:.2f} GB in {len(files)} files, {n_documents} documents, {len(index)} questions")
    print(f"full scan: {full:.1f} CPU-s, {size / full / 1e6:.0f} MB/CPU-s; peak so far {_peak()}", flush=True)
    start = time.process_time()
    stored = [
        _write(folder / "ngrams", path, CORPUS_NGRAMS, index_documents(_documents(path, ("text",)))) for path in files
    ]
    built, held = time.process_time() - start, sum(path.stat().st_size for path in stored)
    print(
        f"stored index: {built:.1f} CPU-s, {built / full:.2f} of a full scan; {held / 1e9:.2f} GB, "
        f"{held / packed:.2f} of the compressed text, {held / size:.2f} of the text; peak so far {_peak()}",
        flush=True,
    )
    for name in new:
        _print_one(index, name, files, folder, full, by_reading)
    last = _timed(lambda path: scan_documents(_documents(path), index), files[-1:], folder / "last")
    print(f"one file more ({_bytes(files[-1]) / size:.3f} of the text): {last:.1f} CPU-s, {last / full:.3f} of a scan")


def _print_one(index: BenchmarkIndex, new: str, files: list[Path], folder: Path, full: float, by_reading: bool) -> None:
    """A benchmark is added: with the stored index, and by reading all texts."""
    old = index.select(index.parts.keys() - {new})
    changes = difference(old.parts, index.parts)

    def held(of: str, path: Path) -> Iterator[pa.RecordBatch]:
        return read_batches(folder / of / path.name, columns=["doc_id", "verdict", "matches"])

    def before(path: Path) -> Iterator[pa.RecordBatch]:
        return rescan_documents(_documents(path, ("doc_id",)), held("full", path), old, changes.kept)

    def by_text(path: Path) -> Iterator[pa.RecordBatch]:
        return rescan_documents(_documents(path), held("old", path), index, changes.kept)

    n_read = 0
    lookup_seconds = 0.0

    def by_index(path: Path) -> Iterator[pa.RecordBatch]:
        nonlocal n_read, lookup_seconds
        start = time.process_time()
        file_sha256(folder / "ngrams" / path.name)  # as the lake sees whether it is intact
        own = index.select(changes.new)
        rows = candidate_rows(read_batches(folder / "ngrams" / path.name), own)
        lookup_seconds += time.process_time() - start
        n_read += len(rows)
        texts = read_rows(path, rows, columns=["doc_id", "text"])
        return rescan_candidates(_documents(path, ("doc_id",)), texts, held("old", path), own, changes.kept)

    taken_away = _timed(before, files, folder / "old")
    seconds = {"added": _timed(by_index, files, folder / "added")}
    if by_reading:
        seconds["read"] = _timed(by_text, files, folder / "read")
    for of in seconds:
        if any(file_sha256(folder / of / p.name) != file_sha256(folder / "full" / p.name) for p in files):
            raise SystemExit(f"{new}: the result is not that of a full scan ({of})")
    n_documents = sum(pq.ParquetFile(path).metadata.num_rows for path in files)
    reading = f"; reading all texts {seconds['read'] / full:.3f}" if by_reading else ""
    print(
        f"{new}, {len(index) - len(old)} questions: {seconds['added']:.2f} CPU-s, {seconds['added'] / full:.3f} of "
        f"a full scan (lookup {lookup_seconds / full:.3f}), {n_read / n_documents:.4f} of the documents read{reading}; "
        f"taken away {taken_away / full:.3f}; files identical; peak so far {_peak()}",
        flush=True,
    )


if __name__ == "__main__":
    main()
