"""CPU time of decontamination rules on the same text in one process.

Ours, a Python set of 13-grams, and the paper's rule:

    python benchmarks/decontamination.py --documents DIR_OR_FILES --benchmarks DIR --megabytes 4 --rounds 3

The paper's rule is run as published (every document against every question) on a slice of the text and
scaled, because it reads 0.1 MB a second; and as mended in `decontamination.paper_rule`. Ratios of
medians mean something on a shared machine, seconds do not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mathcode_assets.decontamination.index import BenchmarkIndex, build_index
from mathcode_assets.decontamination.paper_rule import JACCARD, grams_of, jaccard, prepare, scan_by_paper_rule
from mathcode_assets.decontamination.scan import scan_documents
from mathcode_assets.records import BENCHMARK_ITEM, CONTAMINATED, batch_of

ROWS = 500  # of a batch
PUBLISHED_SHARE = 0.02  # of the text that the published rule is run on


def main() -> None:
    arguments = _arguments()
    index = build_index(_items(arguments.benchmarks))
    texts = _texts(arguments.documents, int(arguments.megabytes * 1e6))
    size = sum(len(text.encode()) for text in texts) / 1e6
    few = texts[: max(1, int(len(texts) * PUBLISHED_SHARE))]
    few_size = sum(len(text.encode()) for text in few) / 1e6
    rule, grams = prepare(index), _benchmark_grams(index)
    contenders: dict[str, tuple[Callable[[], int], float]] = {
        "containment (ours)": (lambda: _ours(texts, index), size),
        "Python set of 13-grams": (lambda: _set(texts, grams), size),
        "paper's rule, mended": (lambda: _mended(texts, rule), size),
        "paper's rule, as published": (lambda: _published(few, index), few_size),
    }
    _ours(texts[:1], index)  # compile before the clock starts
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    found: dict[str, int] = {}
    for _ in range(arguments.rounds):  # alternating, so that a busy neighbour hits all of them
        for name, (run, _) in contenders.items():
            start = time.process_time()
            found[name] = run()
            seconds[name].append(time.process_time() - start)
    print(f"{len(texts)} documents, {size:.1f} MB; {len(index)} questions; median of {arguments.rounds} rounds")
    print(f"{'rule':28} {'MB/CPU-s':>9} {'ours is faster by':>18} {'contaminated':>13}")
    speeds = {name: mb / statistics.median(seconds[name]) for name, (_, mb) in contenders.items()}
    for name, speed in speeds.items():
        ratio = speeds["containment (ours)"] / speed
        scope = "" if contenders[name][1] == size else f" of {len(few)}"
        print(f"{name:28} {speed:9.2f} {ratio:17.1f}x {found[name]:>13}{scope}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, nargs="+", required=True, help="Parquet files, or folders of them")
    parser.add_argument("--benchmarks", type=Path, required=True, help="folder of NAME.jsonl")
    parser.add_argument("--megabytes", type=float, default=4.0, help="of text")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _texts(places: list[Path], limit: int) -> list[str]:
    """Texts of the files in turn, until there is enough."""
    files = [f for place in places for f in (sorted(place.rglob("*.parquet")) if place.is_dir() else [place])]
    texts, size = [], 0
    for file in files:
        table = pq.read_table(file)
        for text in table["text" if "text" in table.column_names else "content"].to_pylist():
            if size >= limit:
                return texts
            texts.append(text)
            size += len(text.encode())
    return texts


def _items(folder: Path) -> Iterator[pa.RecordBatch]:
    for path in sorted(folder.glob("*.jsonl")):
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
        yield batch_of(
            [
                {
                    "benchmark": path.stem, "question_index": record.get("idx", number),
                    "question": record["question"], "answer": str(record.get("answer") or ""),
                    "solution": record.get("solution") or "", "options": record.get("options") or "",
                }
                for number, record in enumerate(records)
            ],
            BENCHMARK_ITEM,
        )  # fmt: skip


def _batches(texts: list[str]) -> Iterator[pa.RecordBatch]:
    for first in range(0, len(texts), ROWS):
        some = texts[first : first + ROWS]
        yield pa.RecordBatch.from_pydict({"doc_id": [""] * len(some), "text": pa.array(some, pa.large_string())})


def _count(batches: Iterator[pa.RecordBatch]) -> int:
    return sum(verdict == CONTAMINATED for batch in batches for verdict in batch.column("verdict").to_pylist())


def _ours(texts: list[str], index: BenchmarkIndex) -> int:
    return _count(scan_documents(_batches(texts), index))


def _mended(texts: list[str], rule) -> int:
    return _count(scan_by_paper_rule(_batches(texts), rule))


def _benchmark_grams(index: BenchmarkIndex) -> set[tuple[str, ...]]:
    return {gram for question in index.items["question"].to_pylist() for gram in grams_of(question.split())}


def _set(texts: list[str], grams: set[tuple[str, ...]]) -> int:
    """The usual quick rule: any 13-gram in common."""
    return sum(not grams.isdisjoint(grams_of(text.split())) for text in texts)


def _published(texts: list[str], index: BenchmarkIndex) -> int:
    questions = index.items["question"].to_pylist()
    question_grams = [grams_of(question.split()) for question in questions]
    found = 0
    for text in texts:
        own = grams_of(text.split())
        found += any(
            text in question or (own and other and jaccard(own, other) > JACCARD)
            for question, other in zip(questions, question_grams, strict=True)
        )
    return found


if __name__ == "__main__":
    main()
