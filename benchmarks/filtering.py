"""Our scoring path beside a plain loop over fastText's predict, on the same texts and the same model.

    python benchmarks/filtering.py FILE.jsonl.zst [FILE.parquet ...] [--rounds 5]

Rows need ``text``. Reports CPU seconds of this process (median of interleaved rounds) and their ratio to the
plain loop; absolute numbers depend on the machine, ratios less. Labels of both are compared first.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import fasttext
import pyarrow.parquet as pq
import zstandard

from mathcode_assets.filtering.classifier import MODEL_FILE, load
from mathcode_assets.filtering.features import formula_density, formula_features
from mathcode_assets.filtering.training import ClassifierConfig, train

BATCH = 500


def read_texts(path: Path) -> list[str]:
    if path.suffix == ".parquet":
        return pq.read_table(path, columns=["text"])["text"].to_pylist()
    with path.open("rb") as file:
        content = zstandard.ZstdDecompressor().stream_reader(file).read()
    return [json.loads(line)["text"] for line in content.split(b"\n") if line.strip()]


def batched(score: Callable[[list[str]], object], texts: list[str]) -> Callable[[], list]:
    return lambda: [score(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    texts = [text for path in arguments.files for text in read_texts(path)]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    # The model is beside the point here: what is scored does not depend on what it learned.
    density = formula_density(formula_features(texts))
    examples = [(text, "math" if one > 3 else "other") for text, one in zip(texts, density, strict=True)]
    with tempfile.TemporaryDirectory() as scratch:
        paper = ClassifierConfig(name="paper")
        configs = {
            "ours, fastText alone": paper,
            "ours, letters only": replace(paper, letters_only=True),
            "ours, with formula features": replace(paper, formula_features=True),
        }
        for name, config in configs.items():
            train(examples, config, Path(scratch) / name)
        classifiers = {name: load(Path(scratch) / name) for name in configs}
        model = fasttext.load_model(str(Path(scratch) / "ours, fastText alone" / MODEL_FILE))

    def plain() -> list[str]:
        return [model.predict([text.replace("\n", " ")])[0][0][0] for text in texts]

    expected = [label.removeprefix("__label__") for label in plain()]
    found = classifiers["ours, fastText alone"].predict(texts).labels
    same = sum(one == other for one, other in zip(expected, found, strict=True))
    print(f"{len(texts):,} texts, {megabytes:.1f} MB; labels equal on {same:,} ({same / len(texts):.2%})")
    runs = {"plain predict loop": plain}
    runs |= {name: batched(classifier.score, texts) for name, classifier in classifiers.items()}
    runs["formula features alone"] = batched(formula_features, texts)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(arguments.rounds):
        for name, run in runs.items():
            begin = time.process_time()
            run()
            seconds[name].append(time.process_time() - begin)
    reference = statistics.median(seconds["plain predict loop"])
    print(f"{'':30}{'CPU s':>8}{'MB/s':>8}{'ratio':>8}")
    for name, taken in seconds.items():
        median = statistics.median(taken)
        print(f"{name:30}{median:8.2f}{megabytes / median:8.1f}{median / reference:8.2f}")


if __name__ == "__main__":
    main()
