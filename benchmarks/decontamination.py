"""CPU time of decontamination rules on the same text in one run.

    python benchmarks/decontamination.py --documents DIR_OR_FILES --benchmarks DIR --megabytes 40 --rounds 3
        [--datatrove PYTHON]

Ours, a Python set of 13-grams, the paper's rule as published (every document against every question, on a slice of the
text, because it reads 0.1 MB a second) and as mended in `decontamination.paper_rule`, and datatrove's filter in the
Python that has it (on a slice, too). Ratios of medians mean something on a shared machine, seconds do not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from mathcode_assets.decontamination.index import BenchmarkIndex, build_index
from mathcode_assets.decontamination.paper_rule import JACCARD, grams_of, jaccard, prepare, scan_by_paper_rule
from mathcode_assets.decontamination.scan import scan_documents
from mathcode_assets.records import BENCHMARK_ITEM, CONTAMINATED, batch_of

ROWS = 500  # of a batch
PUBLISHED_MB = 0.8  # of text that the published rule is run on
PEER_MB = 3.0  # ... and the rules in Python
OURS = "containment (ours)"

Contender = Callable[[], tuple[int, float]]  # contaminated documents, CPU seconds


def main() -> None:
    """Run every rule in turn, print medians and ratios."""
    arguments = _arguments()
    index = build_index(items_of(arguments.benchmarks))
    texts = _texts(arguments.documents, arguments.megabytes)
    few, fewest = _texts(arguments.documents, PEER_MB), _texts(arguments.documents, PUBLISHED_MB)
    rule, grams = prepare(index), _benchmark_grams(index)
    contenders: dict[str, tuple[Contender, list[str]]] = {
        OURS: (lambda: _timed(lambda: _ours(texts, index)), texts),
        "Python set of 13-grams": (lambda: _timed(lambda: _set(few, grams)), few),
        "paper's rule, mended": (lambda: _timed(lambda: _mended(few, rule)), few),
        "paper's rule, as published": (lambda: _timed(lambda: _published(fewest, index)), fewest),
    }
    if arguments.datatrove:
        contenders["datatrove, 12-grams"] = (lambda: _datatrove(arguments.datatrove, few, index), few)
    _ours(texts[:1], index)  # compile before the clock starts
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    found: dict[str, int] = {}
    for _ in range(arguments.rounds):  # alternating, so that a busy neighbour hits all of them
        for name, (run, _) in contenders.items():
            found[name], spent = run()
            seconds[name].append(spent)
    print(
        f"{len(texts)} documents, {_megabytes(texts):.1f} MB; {len(index)} questions; "
        f"{arguments.rounds} rounds, medians"
    )
    print(f"{'rule':28} {'MB':>6} {'MB/CPU-s':>9} {'ours is faster by':>18} {'contaminated':>13}")
    speeds = {name: _megabytes(read) / statistics.median(seconds[name]) for name, (_, read) in contenders.items()}
    for name, speed in speeds.items():
        read = contenders[name][1]
        ratio = f"{speeds[OURS] / speed:.1f}x"
        print(f"{name:28} {_megabytes(read):6.1f} {speed:9.2f} {ratio:>18} {found[name]:>6} of {len(read)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, nargs="+", required=True, help="Parquet or JSONL files, or folders")
    parser.add_argument("--benchmarks", type=Path, required=True, help="folder of NAME.jsonl")
    parser.add_argument("--megabytes", type=float, default=40.0, help="of text")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--datatrove", metavar="PYTHON", help="a Python with datatrove and spacy")
    return parser.parse_args()


def document_batches(places: list[Path]) -> Iterator[pa.RecordBatch]:
    """doc_id (file and row) and text of Parquet and JSONL files, and of all such files of folders."""
    for place in places:
        files = sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
        for file in files:
            texts = _texts_of(file)
            for first in range(0, len(texts), ROWS):
                some = texts[first : first + ROWS]
                names = [f"{file.parent.name}/{file.name}#{first + k}" for k in range(len(some))]
                yield pa.RecordBatch.from_pydict({"doc_id": names, "text": pa.array(some, pa.large_string())})


def _texts_of(file: Path) -> list[str]:
    if file.suffix == ".parquet":
        names = pq.read_schema(file).names
        column = "text" if "text" in names else "content" if "content" in names else None
        return pq.read_table(file, columns=[column])[column].to_pylist() if column else []
    if not file.name.endswith((".jsonl", ".jsonl.zst")):
        return []
    data = file.read_bytes()
    if file.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(data).read()
    return [json.loads(line)["text"] for line in data.decode().split("\n") if line.strip()]


def items_of(folder: Path) -> Iterator[pa.RecordBatch]:
    """The benchmark items of a folder of NAME.jsonl."""
    for path in sorted(folder.glob("*.jsonl")):
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
        yield batch_of(
            [
                {
                    "benchmark": path.stem, "question_index": record.get("idx", number),
                    "question": record["question"], "answer": _words(record.get("answer")),
                    "solution": _words(record.get("solution")), "options": _words(record.get("options")),
                }
                for number, record in enumerate(records)
            ],
            BENCHMARK_ITEM,
        )  # fmt: skip


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _texts(places: list[Path], megabytes: float) -> list[str]:
    """Every so many-th text of the files, so that a slice is of all of them."""
    texts = [text for batch in document_batches(places) for text in batch["text"].to_pylist()]
    step = max(1, int(_megabytes(texts) / megabytes))
    return texts[::step]


def _megabytes(texts: list[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def _timed(run: Callable[[], int]) -> tuple[int, float]:
    start = time.process_time()
    found = run()
    return found, time.process_time() - start


def _datatrove(python: str, texts: list[str], index: BenchmarkIndex) -> tuple[int, float]:
    with tempfile.TemporaryDirectory() as folder:
        names = [Path(folder) / "texts.jsonl", Path(folder) / "questions.jsonl"]
        for name, values in zip(names, (texts, index.items["question"].to_pylist()), strict=True):
            name.write_text("\n".join(json.dumps(value) for value in values), encoding="utf-8")
        script = Path(__file__).with_name("decontamination_datatrove.py")
        command = [python, str(script), *map(str, names)]
        result = json.loads(
            subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
        )
    return result["found"], result["seconds"]


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
