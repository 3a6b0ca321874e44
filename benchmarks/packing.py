"""Tokenising and packing beside the usual ways, on one input in one run.

    python benchmarks/packing.py --tokenizer lake/promoted/tokenizer/all/*/tokenizer.json \
        --input lake/mixture/mathcode_pile/all/*.parquet

Ours starts cold, its tables built and its kernels compiled before. Every id is compared. Times are CPU
seconds of this process, the library on one thread. Packed are the token counts of the documents:

- concatenate and chunk: no padding, documents are cut wherever a sequence ends;
- greedy with padding (the reference): the next document begins a new sequence where it does not fit;
- best fit: `tokenization.best_fit`, the number of sequences alone, and `pack_documents` with its arrays.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import tokenizers

from benchmarks.tokens import made_texts, read_texts
from mathcode_assets.tokenization.best_fit import best_fit_decreasing
from mathcode_assets.tokenization.documents import token_batch
from mathcode_assets.tokenization.encoder import TextEncoder, load_encoder
from mathcode_assets.tokenization.packing import PackingConfig, PackingCounts, pack_documents

BATCH_TEXTS = 200
LENGTHS = (2048, 4096, 8192)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json or a model's folder")
    parser.add_argument("--input", nargs="*", type=Path, help=".jsonl.zst or .parquet files with a field `text`")
    arguments = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    texts = list(_texts(arguments.input) if arguments.input else made_texts(5_000))
    load_encoder(arguments.tokenizer).encode_text("compiles the kernels")
    encoder = load_encoder(arguments.tokenizer)
    ids, offsets = tokenising(texts, encoder)
    lengths = np.diff(offsets)
    pack_documents_once(ids[:100_000], np.array([0, min(len(ids), 100_000)]), 2048, encoder)
    for length in LENGTHS:
        packing(ids, offsets, lengths[lengths > 0], length, encoder)


def tokenising(texts: Sequence[str], encoder: TextEncoder) -> tuple[np.ndarray, np.ndarray]:
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    library = tokenizers.Tokenizer.from_str(encoder.data.decode())
    library.encode_special_tokens = True
    library.no_truncation()
    print(f"{len(texts):,} documents, {megabytes:.1f} MB, {encoder.name}, {encoder.refused or 'compiled encoder'}")
    ours: list[np.ndarray] = []
    seconds = {"mathcode": 0.0, "encode_batch": 0.0, "encode_batch_fast": 0.0}
    n_differ = 0
    for at in range(0, len(texts), BATCH_TEXTS):
        batch = texts[at : at + BATCH_TEXTS]
        start = time.process_time()
        found = [encoder.encode_text(text) for text in batch]
        seconds["mathcode"] += time.process_time() - start
        for name in ("encode_batch", "encode_batch_fast"):
            start = time.process_time()
            encodings = getattr(library, name)(batch, add_special_tokens=False)
            seconds[name] += time.process_time() - start
        n_differ += sum(a.tolist() != b.ids for a, b in zip(found, encodings, strict=True))
        ours += found
    print(
        f"{sum(map(len, ours)):,} tokens; {n_differ} of {len(texts):,} documents differ; "
        f"{encoder.n_by_library} encoded by the library"
    )
    for name, value in seconds.items():
        ratio = seconds["encode_batch"] / value
        print(f"{name:<20}{value:8.2f} CPU-s {megabytes / value:8.1f} MB/s {ratio:6.2f} x encode_batch")
    return encoder.encode(texts)


def packing(ids: np.ndarray, offsets: np.ndarray, lengths: np.ndarray, length: int, encoder: TextEncoder) -> None:
    ways: dict[str, Callable[[], tuple[int, int]]] = {
        "greedy with padding": lambda: greedy(lengths, length),
        "concatenate and chunk": lambda: chunked(lengths, length),
        "best fit, lengths only": lambda: best_fit(lengths, length),
        "mathcode, with arrays": lambda: pack_documents_once(ids, offsets, length, encoder),
    }
    print(f"\nsequences of {length:,}; {(lengths > length).mean():.1%} of documents are longer")
    base = 0.0
    for name, way in ways.items():
        start = time.process_time()
        n_sequences, n_cut = way()
        taken = time.process_time() - start
        base = base or taken
        padding = 1 - lengths.sum() / (n_sequences * length)
        print(
            f"{name:<24}{n_sequences:8,} sequences  padding {padding:8.3%}  documents cut {n_cut / len(lengths):6.1%}"
            f"  {1000 * taken:7.1f} CPU-ms {taken / base:6.2f} x greedy"
        )


def chunked(lengths: np.ndarray, length: int) -> tuple[int, int]:
    ends = np.cumsum(lengths)
    cut = (ends - 1) // length != (ends - lengths) // length
    return -(-int(ends[-1]) // length), int(cut.sum())


def greedy(lengths: np.ndarray, length: int) -> tuple[int, int]:
    n_sequences, filled = 0, length
    for size in lengths.tolist():
        for piece in [length] * (size // length) + ([size % length] if size % length else []):
            if filled + piece > length:
                n_sequences, filled = n_sequences + 1, 0
            filled += piece
    return n_sequences, int((lengths > length).sum())


def best_fit(lengths: np.ndarray, length: int) -> tuple[int, int]:
    rests = lengths % length
    _, n_sequences = best_fit_decreasing(rests[rests > 0], length)
    return n_sequences + int((lengths // length).sum()), int((lengths > length).sum())


def pack_documents_once(ids: np.ndarray, offsets: np.ndarray, length: int, encoder: TextEncoder) -> tuple[int, int]:
    counts = PackingCounts()
    batch = token_batch([str(number) for number in range(len(offsets) - 1)], ids, offsets)
    config: Any = PackingConfig(length=length)
    special = encoder.special
    for _ in pack_documents([batch], config, pad_id=special.pad_id, vocab_size=encoder.vocab_size, counts=counts):
        pass
    return counts.n_sequences, counts.n_cut_documents


def _texts(paths: Sequence[Path]) -> Iterator[str]:
    for path in paths:
        if path.suffix == ".parquet":
            for batch in pq.ParquetFile(path).iter_batches(columns=["text"]):
                yield from batch.column("text").to_pylist()
        else:
            yield from read_texts([path])


if __name__ == "__main__":
    main()
