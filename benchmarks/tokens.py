"""Counting tokens beside encoding: one tokenizer, one text, equal counts.

    python benchmarks/tokens.py --input ../shared/data/cc_en/*.jsonl.zst

Without --input it makes text by seed (a small vocabulary: flatters whoever remembers words). Times are
CPU seconds of this process on one thread; each way runs once over all texts, ours starting cold.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import tokenizers
import zstandard

from mathcode_assets.text.tokens import Tokenizer, TokenizerConfig, train_tokenizer

SENTENCE = "let the sum of integers be prime then $x^2$ is even and a function f has limit zero at one"
BATCH_TEXTS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--input", nargs="*", type=Path, help=".jsonl.zst files with a field `text`")
    parser.add_argument("--vocab-size", type=int, default=32_000)
    parser.add_argument("--sample-share", type=float, default=0.25, help="share of the texts trained on")
    arguments = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    texts = list(read_texts(arguments.input) if arguments.input else made_texts(5_000))
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    config = TokenizerConfig(vocab_size=arguments.vocab_size, sample_share=arguments.sample_share)
    start = time.process_time()
    data = train_tokenizer(texts, config)
    training = time.process_time() - start
    print(f"trained on {config.sample_share:.0%} of {megabytes:.1f} MB in {training:.1f} CPU-s")
    plain = tokenizers.Tokenizer.from_str(data.decode())
    plain.encode_special_tokens = True
    ours = Tokenizer(data, name="benchmark")
    ways: dict[str, Callable[[Sequence[str]], list[int]]] = {
        "encode, one by one": lambda texts: [len(plain.encode(t, add_special_tokens=False)) for t in texts],
        "encode_batch_fast": lambda texts: [
            len(encoding) for encoding in plain.encode_batch_fast(texts, add_special_tokens=False)
        ],
        "mathcode, cold": lambda texts: ours.count(texts).tolist(),
        "mathcode, again": lambda texts: ours.count(texts).tolist(),
    }
    batches = [texts[at : at + BATCH_TEXTS] for at in range(0, len(texts), BATCH_TEXTS)]
    counts: dict[str, list[int]] = {}
    seconds: dict[str, float] = {}
    for name, way in ways.items():
        start = time.process_time()
        counts[name] = [count for batch in batches for count in way(batch)]
        seconds[name] = time.process_time() - start
    assert all(found == counts["mathcode, cold"] for found in counts.values()), "counts differ"
    print(f"{sum(counts['mathcode, cold']):,} tokens of {ours.name}, counted alike by each")
    base = seconds["encode, one by one"]
    for name, value in seconds.items():
        print(f"{name:<20}{value:8.2f} CPU-s {megabytes / value:8.1f} MB/s {base / value:6.2f} x encode")


def read_texts(paths: Sequence[Path]) -> Iterator[str]:
    for path in sorted(paths):
        for line in zstandard.open(path, "rb").read().split(b"\n"):
            if line:
                yield json.loads(line)["text"]


def made_texts(n_texts: int) -> Iterator[str]:
    draw = random.Random(3407)
    return (" ".join(draw.choices(SENTENCE.split(), k=400)) for _ in range(n_texts))


if __name__ == "__main__":
    main()
