"""Token counts: a byte-level BPE tokenizer trained on the corpus, and fast exact counting with any.

A count means nothing without its tokenizer, so `Tokenizer.name` (`<name>@<12 hex of the file>`)
goes wherever a count goes.

Counting needs no ids. With a tokenizer whose pre-tokenisation is the one trained here, white space
with the word after it is tokenised the same way wherever it stands, so counts of such units are
remembered and added up: exactly the numbers of an encoding, about three times as fast
(`benchmarks/tokens.py`). Any other `tokenizer.json` is counted by encoding.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from mathcode_assets.text.pieces import WHITE_SPACE, pieces_at_white_space

# Texts are encoded in pieces of a million characters, cut before white space; where none comes for
# another 65,536, anywhere. BPE takes 90 bytes for each character of one "word": gigabytes at 50 MB.
ENCODE_CHARS = 1 << 20
LONGEST_WORD_CHARS = 1 << 16

# Longer units hardly ever come back. 2^19 units of English and mathematics take some 60 MB.
REMEMBERED_UNIT_CHARS = 48
REMEMBERED_UNITS = 1 << 19

# A unit: white space, then up to three digits, or signs and letters up to where an ASCII letter meets an
# ASCII sign. Other characters may be either, so no unit ends beside one.
_SIGN = rf"[^{WHITE_SPACE}0-9A-Za-z]"
_BEYOND_ASCII = rf"[^{WHITE_SPACE}\x00-\x7f]"
_UNIT = re.compile(rf"[{WHITE_SPACE}]*(?:[0-9]{{1,3}}|{_SIGN}*(?:[A-Za-z]+{_BEYOND_ASCII}{_SIGN}*)*[A-Za-z]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerConfig:
    """How the corpus's own tokenizer is trained.

    Attributes:
        vocab_size: entries, special tokens and the 256 bytes among them. 32,000 as in Mistral-7B and
            Code-Llama-7B, two of the paper's four base models.
        special_tokens: get the first ids; text that spells one is still counted as text.
        sample_share: share of the texts used, in (0, 1], chosen by a hash of seed and text.
        seed: of that choice.
        max_text_chars: only the start of a longer text is used, so that one book does not decide.
        max_total_chars: no text is read after so many characters. BPE training holds every distinct
            word: 200 million characters took 45 CPU-seconds and 0.5 GB.
    """

    vocab_size: int = 32_000
    special_tokens: tuple[str, ...] = ("<|begin_of_text|>", "<|end_of_text|>", "<|padding|>")
    sample_share: float = 1.0
    seed: int = 3407
    max_text_chars: int = 100_000
    max_total_chars: int = 200_000_000


class Tokenizer:
    """A loaded tokenizer that counts. Not safe to share between threads.

    Attributes:
        name: `<name>@<first 12 hex digits of the sha256 of tokenizer.json>`.
    """

    def __init__(self, data: bytes, *, name: str) -> None:
        # Workers are processes of their own; threads of the library on top would fight them for cores.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self.name = f"{name}@{hashlib.sha256(data).hexdigest()[:12]}"
        self._tokenizer = tokenizers.Tokenizer.from_str(data.decode())
        # Some published files truncate at the model's context, which would cap every count.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        # A document that spells `<|end_of_text|>` holds those characters, not the end of a text.
        self._tokenizer.encode_special_tokens = True
        self._adds_up = _counts_add_up(json.loads(data))
        self._remembered: dict[str, int] = {}

    def count(self, texts: Sequence[str]) -> np.ndarray:
        """Tokens of each text as int32, without special tokens.

        Exactly the length of the encoding for texts up to a million characters. A longer text is cut
        at each further million, and the count may be a few tokens off there: with our own tokenizer
        only if the cut falls in a word above 65,536 characters.
        """
        if self._adds_up:
            return np.fromiter((self._count_by_units(text) for text in texts), np.int32, len(texts))
        return self._count_by_encoding(texts)

    def _count_by_units(self, text: str) -> int:
        total = 0
        for piece in pieces_at_white_space(text, size=ENCODE_CHARS):
            units = _UNIT.findall(piece)
            try:
                total += sum(map(self._remembered.__getitem__, units))
            except KeyError:
                total += self._count_new_units(units)
        return total

    def _count_new_units(self, units: list[str]) -> int:
        known = self._remembered
        new = list(dict.fromkeys(unit for unit in units if unit not in known))
        short = [unit for unit in new if len(unit) <= REMEMBERED_UNIT_CHARS]
        if len(known) + len(short) > REMEMBERED_UNITS:
            known.clear()
            new = list(dict.fromkeys(units))
            short = [unit for unit in new if len(unit) <= REMEMBERED_UNIT_CHARS]
        counts = dict(zip(new, self._count_by_encoding(new).tolist(), strict=True))
        known.update((unit, counts[unit]) for unit in short)
        return sum(counts[unit] if unit in counts else known[unit] for unit in units)

    def _count_by_encoding(self, texts: Sequence[str]) -> np.ndarray:
        totals = np.zeros(len(texts), dtype=np.int32)
        for numbers, pieces in _encode_batches(texts):
            encodings = self._tokenizer.encode_batch_fast(pieces, add_special_tokens=False)
            np.add.at(totals, numbers, [len(encoding) for encoding in encodings])
        return totals


def load_tokenizer(path: Path | str, *, name: str | None = None) -> Tokenizer:
    """The tokenizer of a local `tokenizer.json`.

    Args:
        path: of the file.
        name: for `Tokenizer.name`; default the name of the file without its ending.
    """
    path = Path(path)
    return Tokenizer(path.read_bytes(), name=name or path.stem)


def train_tokenizer(texts: Iterable[str], config: TokenizerConfig | None = None) -> bytes:
    """A `tokenizer.json` with a byte-level BPE trained on the texts: same texts, same bytes.

    Digits are split one by one, as in the tokenizers of DeepSeekMath-7B, Mistral-7B and
    Code-Llama-7B (three of the paper's four base models): then the tokens of a number do not depend
    on which numbers the sample held, and counts of two corpora compare.

    Raises:
        ValueError: `vocab_size` leaves no room for the 256 bytes, or `sample_share` is not in (0, 1].
    """
    config = config or TokenizerConfig()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    if config.vocab_size < len(alphabet) + len(config.special_tokens):
        raise ValueError(f"vocab_size {config.vocab_size} is below the 256 bytes and the special tokens")
    if not 0 < config.sample_share <= 1:
        raise ValueError(f"sample_share {config.sample_share} is not in (0, 1]")
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _pre_tokenizer()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        special_tokens=list(config.special_tokens),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    tokenizer.train_from_iterator(_sampled(texts, config), trainer)
    return tokenizer.to_str(pretty=False).encode()


def _pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    digits = pre_tokenizers.Digits(individual_digits=True)
    return pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])


def _sampled(texts: Iterable[str], config: TokenizerConfig) -> Iterator[str]:
    total = 0
    for text in texts:
        key = f"{config.seed}\n{text}".encode()
        draw = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") / 2**64
        if draw >= config.sample_share:
            continue
        start = text[: min(config.max_text_chars, config.max_total_chars - total)]
        total += len(start)
        yield from pieces_at_white_space(start, size=LONGEST_WORD_CHARS, longest=2 * LONGEST_WORD_CHARS)
        if total >= config.max_total_chars:
            return


def _counts_add_up(parsed: dict[str, Any]) -> bool:
    """Whether the count of a text is the sum of the counts of its units, whatever the text.

    Digits stand alone; of what is between them GPT-2's pattern joins nothing with the white space
    behind it and no letter with a sign behind it, and white space needs to see only the one
    character behind it. Llama-3's pattern joins signs with line ends, and a normaliser or an added
    token may do anything, so nothing but our own pre-tokenisation is trusted.
    """
    probe = tokenizers.Tokenizer(models.BPE())
    probe.pre_tokenizer = _pre_tokenizer()
    same = parsed["pre_tokenizer"] == json.loads(probe.to_str())["pre_tokenizer"]
    only_special = all(token["special"] for token in parsed["added_tokens"])
    plain_bpe = parsed["model"]["type"] == "BPE" and not parsed["model"]["dropout"]
    return same and only_special and plain_bpe and parsed["normalizer"] is None


def _encode_batches(texts: Sequence[str]) -> Iterator[tuple[list[int], list[str]]]:
    """Batches of about a million characters: the number of the text and the piece, for each piece."""
    numbers: list[int] = []
    pieces: list[str] = []
    size = 0
    for number, text in enumerate(texts):
        for piece in pieces_at_white_space(text, size=ENCODE_CHARS, longest=ENCODE_CHARS + LONGEST_WORD_CHARS):
            numbers.append(number)
            pieces.append(piece)
            size += len(piece)
            if size >= ENCODE_CHARS:
                yield numbers, pieces
                numbers, pieces, size = [], [], 0
    if pieces:
        yield numbers, pieces
