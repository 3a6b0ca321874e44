"""A fastText classifier as what it is, a linear model: one number for each row of its input and each label.

fastText averages the vectors of a text's words and word pairs and multiplies by one vector for each label.
Multiplying first gives the same result, and scoring a text becomes adding up numbers: five times faster than
fastText's predict, and the model shrinks from ``dim`` numbers a row to one for each label.

How fastText reads a text is followed to the bit: tokens between blanks, an end-of-line token after the last,
unknown words without a row of their own but part of their pairs, pairs hashed into buckets. The sigmoid is
exact here; fastText looks it up in a table of 512 steps, so probabilities differ by up to 0.01.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from mathcode_assets.filtering.lexicon import FNV_OFFSET, FNV_PRIME

_END_OF_LINE = b"</s>"
_NO_ROW = -1
# fastText's own 32-bit FNV-1a over signed bytes, and its factor for n-grams (dictionary.cc).
_WORD_OFFSET, _WORD_PRIME = np.uint32(2166136261), np.uint32(16777619)
_NGRAM_FACTOR = np.uint64(116049371)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearModel:
    """Build it with `load_linear_model` or `linear_model_of`."""

    tokens: tuple[str, ...]
    """fastText's label tokens, in the order of the columns of `logits`."""
    _rows: np.ndarray
    _keys: np.ndarray
    _ids: np.ndarray
    _n_words: int
    _word_ngrams: int

    def logits(self, lines: Sequence[bytes]) -> np.ndarray:
        """One row for each line (UTF-8, words between blanks), one column for each label: float64."""
        logits = np.zeros((len(lines), len(self.tokens)))
        data = np.frombuffer(b"".join([line + b" " + _END_OF_LINE for line in lines]), dtype=np.uint8)
        ends = np.cumsum([len(line) + 1 + len(_END_OF_LINE) for line in lines], dtype=np.int64)
        _score_all(data, ends, self._rows, self._keys, self._ids, self._n_words, self._word_ngrams, logits)
        return logits


def load_linear_model(path: Path) -> LinearModel:
    """The model in a file that `training.train` wrote.

    Raises:
        FileNotFoundError: there is no such file (fastText itself would name no path).
    """
    import fasttext

    if not path.is_file():
        raise FileNotFoundError(path)
    return linear_model_of(fasttext.load_model(str(path)))


def linear_model_of(model: Any) -> LinearModel:
    """A fastText model, supervised, one-vs-all, without subwords and not quantized.

    Raises:
        ValueError: the model has subwords or is quantized.
    """
    arguments = model.f.getArgs()
    if arguments.maxn > 0 or model.is_quantized():
        raise ValueError("a model with subwords or a quantized one cannot be read as a linear model")
    words = [word.encode() for word in model.get_words()]
    rows = (model.get_input_matrix() @ model.get_output_matrix().T).astype(np.float32)
    size = 1 << (2 * len(words) + 1).bit_length()  # at most half full
    keys, ids = np.zeros(size, dtype=np.uint64), np.full(size, _NO_ROW, dtype=np.int32)
    data = np.frombuffer(b"".join(words) or b"\0", dtype=np.uint8)
    _fill_table(data, np.cumsum([len(word) for word in words], dtype=np.int64), keys, ids)
    return LinearModel(
        tokens=tuple(model.get_labels()),
        _rows=np.ascontiguousarray(rows),
        _keys=keys,
        _ids=ids,
        _n_words=len(words),
        _word_ngrams=arguments.wordNgrams,
    )


@njit(cache=True)
def _fill_table(data: np.ndarray, ends: np.ndarray, keys: np.ndarray, ids: np.ndarray) -> None:
    """Word number n, which ends at ends[n], into an open-addressing table by its 64-bit hash."""
    mask = np.uint64(len(keys) - 1)
    begin = 0
    for number in range(len(ends)):
        key = FNV_OFFSET
        for position in range(begin, ends[number]):
            key = (key ^ np.uint64(data[position])) * FNV_PRIME
        slot = key & mask
        while ids[slot] != _NO_ROW:
            slot = (slot + np.uint64(1)) & mask
        keys[slot], ids[slot] = key, number
        begin = ends[number]


@njit(cache=True)
def _score_all(
    data: np.ndarray,
    ends: np.ndarray,
    rows: np.ndarray,
    keys: np.ndarray,
    ids: np.ndarray,
    n_words: int,
    word_ngrams: int,
    logits: np.ndarray,
) -> None:
    """Mean of the rows of each text's words and n-grams; text number n ends at ends[n]."""
    mask, n_buckets = np.uint64(len(keys) - 1), np.uint64(max(1, len(rows) - n_words))
    open_ngrams = np.zeros(max(1, word_ngrams - 1), dtype=np.uint64)  # n-grams that end at the last word
    begin = 0
    for number in range(len(ends)):
        n_rows, n_open, position = 0, 0, begin
        while position < ends[number]:
            if data[position] <= 32:
                position += 1
                continue
            key, short = FNV_OFFSET, _WORD_OFFSET
            while position < ends[number] and data[position] > 32:
                key = (key ^ np.uint64(data[position])) * FNV_PRIME
                short = np.uint32((short ^ np.uint32(np.int8(data[position]))) * _WORD_PRIME)
                position += 1
            slot = key & mask
            while ids[slot] != _NO_ROW and keys[slot] != key:
                slot = (slot + np.uint64(1)) & mask
            if ids[slot] != _NO_ROW:
                n_rows += 1
                for label in range(rows.shape[1]):
                    logits[number, label] += rows[ids[slot], label]
            word = np.uint64(np.int64(np.int32(short)))
            for index in range(n_open):
                open_ngrams[index] = open_ngrams[index] * _NGRAM_FACTOR + word
                bucket = n_words + np.int64(open_ngrams[index] % n_buckets)
                n_rows += 1
                for label in range(rows.shape[1]):
                    logits[number, label] += rows[bucket, label]
            if word_ngrams > 1:  # the new word opens an n-gram, the longest one is closed
                n_open = min(n_open + 1, word_ngrams - 1)
                for index in range(n_open - 1, 0, -1):
                    open_ngrams[index] = open_ngrams[index - 1]
                open_ngrams[0] = word
        for label in range(rows.shape[1]):
            logits[number, label] /= max(1, n_rows)
        begin = ends[number]
