"""A packed folder made by seed: documents of a repeating pattern, so that a tiny model learns something."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

EOS, PAD = 1, 0


def write_packed_folder(
    folder: Path, *, n_sequences: int = 64, length: int = 32, vocab_size: int = 60, seed: int = 0, n_shards: int = 2
) -> Path:
    """Packed sequences of two to five documents each, padded at the end where they do not fill."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    shards, n_tokens = [], 0
    for number, size in enumerate(len(part) for part in np.array_split(np.arange(n_sequences), n_shards)):
        tokens = np.full((size, length), PAD, np.uint16)
        pieces: list[int] = []
        offsets = [0]
        for row in range(size):
            start = 0
            while length - start >= 4 and len(pieces) - offsets[-1] < 5:
                piece = int(random.integers(4, min(14, length - start) + 1))
                first, stride = random.integers(2, vocab_size), random.integers(1, 4)
                tokens[row, start : start + piece] = 2 + (first + stride * np.arange(piece)) % (vocab_size - 2)
                tokens[row, start + piece - 1] = EOS
                pieces.append(piece)
                start += piece
            n_tokens += start
            offsets.append(len(pieces))
        names = {name: f"{name}-{number:05d}.npy" for name in ("tokens", "pieces", "offsets")}
        np.save(folder / names["tokens"], tokens)
        np.save(folder / names["pieces"], np.array(pieces, np.int32))
        np.save(folder / names["offsets"], np.array(offsets, np.int64))
        shards.append({**names, "n_sequences": size})
    tokenizer = json.dumps(small_tokenizer(vocab_size))
    (folder / "tokenizer.json").write_text(tokenizer)
    info = {
        "format": 1,
        "length": length,
        "n_sequences": n_sequences,
        "n_tokens": n_tokens,
        "pad_id": PAD,
        "eos_id": EOS,
        "vocab_size": vocab_size,
        "tokenizer": "made by seed",
        "tokenizer_hash": hashlib.sha256(tokenizer.encode()).hexdigest(),
        "corpus_fingerprint": f"{seed:064x}",
        "dtype": "uint16",
        "shards": shards,
    }
    (folder / "packing.json").write_text(json.dumps(info))
    return folder


def small_tokenizer(vocab_size: int) -> dict[str, object]:
    """tokenizer.json with one word for each id."""
    words = {"<pad>": PAD, "<eos>": EOS} | {f"w{number}": number for number in range(2, vocab_size)}
    special = [
        {
            "id": number,
            "content": name,
            "special": True,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
        }
        for name, number in (("<pad>", PAD), ("<eos>", EOS))
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "<pad>"},
    }
