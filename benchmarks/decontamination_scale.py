"""Time and memory of the decontamination scan as the corpus grows.

    python benchmarks/decontamination_scale.py make --documents DIR --output DIR --gigabytes 10
    python benchmarks/decontamination_scale.py scan --corpus DIR --benchmarks DIR --gigabytes 1
    python benchmarks/decontamination_scale.py add  --corpus DIR --benchmarks DIR --gigabytes 1 --new gsm8k

`make` writes Parquet files of real documents, copied as often as it takes; in every copy 40 % of the words are drawn
anew from the document's own file, by seed, so that copies are no duplicates. `scan` runs in a process of its own and
prints CPU seconds and peak memory; run it for several sizes to see both. `add` compares a full scan with one for
an added benchmark or an added file. Results go to Parquet as they come, as in the pipeline.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.decontamination import document_batches, items_of
from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.decontamination.frequencies import count_frequencies
from mathcode_assets.decontamination.incremental import difference, rescan_documents
from mathcode_assets.decontamination.index import BenchmarkIndex, build_index
from mathcode_assets.decontamination.items import prepare_items
from mathcode_assets.decontamination.scan import scan_documents
from mathcode_assets.records import CONTAMINATION_ATTRIBUTES

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
            _print_add(index, arguments.new, files, Path(folder))


def make_corpus(places: list[Path], folder: Path, size: int) -> None:
    """Files of about 250 MB of text, until there is enough."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = [text for batch in document_batches(places) for text in batch["text"].to_pylist()]
    written = number = 0
    while written < size:
        rng = random.Random(number)
        order = rng.sample(range(len(texts)), len(texts))
        words = [word for k in order[:2000] for word in texts[k].split(" ")]
        path, filled = folder / f"part-{number:04d}.parquet", 0
        with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
            rows: list[tuple[str, str]] = []
            held = 0
            for k in order * 2:
                text = _resampled(texts[k], words, rng)
                rows.append((f"{number}-{k}", text))
                held += len(text.encode())
                if held >= ROW_GROUP_BYTES:
                    writer.write_table(
                        pa.Table.from_arrays(
                            [pa.array(c, t) for c, t in zip(zip(*rows, strict=True), SCHEMA.types, strict=True)],
                            schema=SCHEMA,
                        )
                    )
                    filled, held, rows = filled + held, 0, []
                if filled >= FILE_BYTES or written + filled >= size:
                    break
        written, number = written + filled, number + 1
        print(f"{written / 1e9:.2f} GB", flush=True)


def _resampled(text: str, words: list[str], rng: random.Random) -> str:
    parts = text.split(" ")
    n = len(words)
    uniform = rng.random
    return " ".join(words[int(uniform() * n)] if uniform() < RESAMPLED else part for part in parts)


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
        command.add_argument("--new", default="gsm8k", help="the benchmark that is added")
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


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    file = pq.ParquetFile(path, memory_map=False, pre_buffer=False)
    yield from file.iter_batches(batch_size=1000, use_threads=False)


def _scanned(
    files: list[Path], index: BenchmarkIndex, folder: Path, old: Path | None = None, kept: frozenset[str] = frozenset()
) -> float:
    """CPU seconds of a scan of the files, attributes written to the folder."""
    folder.mkdir(exist_ok=True)
    start = time.process_time()
    for path in files:
        if old is None:
            found = scan_documents(_batches(path), index)
        else:
            found = rescan_documents(_batches(path), _batches(old / path.name), index, kept)
        with pq.ParquetWriter(folder / path.name, CONTAMINATION_ATTRIBUTES, compression="zstd") as writer:
            for batch in found:
                writer.write_batch(batch)
    return time.process_time() - start


def _print_scan(index: BenchmarkIndex, files: list[Path], folder: Path) -> None:
    list(scan_documents([next(_batches(files[0]))], index))  # compile before the clock starts
    size = sum(_bytes(path) for path in files) / 1e9
    seconds = _scanned(files, index, folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{size:.2f} GB in {len(files)} files: {seconds:.1f} CPU-s, {1000 * size / seconds:.1f} MB/CPU-s, "
        f"peak {peak:.2f} GB"
    )


def _print_add(index: BenchmarkIndex, new: str, files: list[Path], folder: Path) -> None:
    old = index.select(index.parts.keys() - {new})
    changes = difference(old.parts, index.parts)
    list(scan_documents([next(_batches(files[0]))], index))
    before = _scanned(files, old, folder / "old")
    full = _scanned(files, index, folder / "full")
    added = _scanned(files, index, folder / "added", folder / "old", changes.kept)
    last = _scanned(files[-1:], index, folder / "last")
    same = all((folder / "full" / p.name).read_bytes() == (folder / "added" / p.name).read_bytes() for p in files)
    size = sum(_bytes(path) for path in files)
    print(f"{size / 1e9:.2f} GB in {len(files)} files, {len(index)} questions; without {new}: {before:.1f} CPU-s")
    print(f"all scanned again: {full:.1f} CPU-s")
    print(
        f"for {new} alone ({len(index) - len(old)} questions): {added:.1f} CPU-s, {added / full:.2f} of that; "
        f"files identical: {same}"
    )
    print(
        f"for one file more ({_bytes(files[-1]) / size:.2f} of the text): {last:.1f} CPU-s, {last / full:.2f} of that"
    )


if __name__ == "__main__":
    main()
