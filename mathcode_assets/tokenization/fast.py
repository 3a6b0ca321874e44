"""The compiled encoder of one tokenizer: its tables, and the words it remembers."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mathcode_assets.text.pieces import WHITE_SPACE
from mathcode_assets.tokenization import kernel
from mathcode_assets.tokenization.patterns import LOW_LINE, Pattern, Refused, merges_of, pattern_of

N_POINTS = 0x110000
SCRATCH_IDS = 1 << 23
_BYTE_TOKEN = "<0x{:02X}>"


class UnknownCharacter(ValueError):
    """The text holds a character that the tables do not know; the library has to encode it."""


class FastEncoder:
    """Encodes texts exactly as the library does, some twenty times as fast. Not safe to share between threads.

    Args:
        parsed: the content of a `tokenizer.json`.
        encode_word: ids of a word too long for the kernel, by the library.

    Raises:
        Refused: the tokenizer is none of those `patterns` lists.
    """

    def __init__(self, parsed: Mapping[str, Any], encode_word: Callable[[str], np.ndarray]) -> None:
        model = parsed["model"]
        self.pattern = pattern_of(parsed)
        self._encode_word = encode_word
        vocabulary: dict[str, int] = model["vocab"]
        self._byte_ids = _byte_ids(vocabulary, self.pattern)
        self._point_ids = _point_ids(vocabulary, self.pattern)
        self._pairs = _pair_table(model, vocabulary)
        self._classes = code_point_classes()
        self._joins = _joins(model, self.pattern)
        self._keys = np.zeros((kernel.MEMORY_SLOTS, 2), np.uint64)
        self._values = np.zeros(kernel.MEMORY_SLOTS, np.int64)
        self._ids = np.zeros(kernel.MEMORY_IDS, np.uint32)
        self._used = np.zeros(2, np.int64)
        self._scratch = np.empty(SCRATCH_IDS, np.uint32)
        if model.get("ignore_merges"):
            self._check_every_token_merges(vocabulary)

    def encode(self, text: str) -> np.ndarray:
        """The ids of a text, uint32.

        Raises:
            UnknownCharacter: the library has to encode this text.
        """
        buffer = self._prepared(text)
        if self._used[0] >= kernel.MEMORY_WORDS or self._used[1] + kernel.KEY_BYTES > kernel.MEMORY_IDS:
            self._forget()
        # At most one id a byte; pages that are never written cost nothing.
        if len(buffer) <= SCRATCH_IDS:
            return self._scratch[: self._encode(buffer, self._scratch, 0)].copy()
        out = np.empty(len(buffer), np.uint32)
        return out[: self._encode(buffer, out, 0)].copy()

    def _prepared(self, text: str) -> np.ndarray:
        pattern = self.pattern
        if pattern.compose and not text.isascii():
            text = unicodedata.normalize("NFC", text)
        if pattern.prefix_space and text and not (pattern.prefix_space_once and text[0] in (" ", LOW_LINE)):
            text = " " + text
        return np.frombuffer(text.encode(), np.uint8)

    def _encode(self, buffer: np.ndarray, out: np.ndarray, n_out: int) -> int:
        at, end = 0, len(buffer)
        while at < end:
            at, n_out, why, stop = kernel.encode_words(
                buffer,
                at,
                end,
                out,
                n_out,
                self._classes,
                self._joins,
                self.pattern.kind,
                self.pattern.longest_number,
                self._byte_ids,
                self._point_ids,
                self._pairs,
                self._keys,
                self._values,
                self._ids,
                self._used,
            )
            if why == kernel.UNKNOWN_CHARACTER:
                raise UnknownCharacter(f"at byte {at}")
            if why == kernel.LONG_WORD:
                ids = self._encode_word(buffer[at:stop].tobytes().decode())
                out[n_out : n_out + len(ids)] = ids
                at, n_out = stop, n_out + len(ids)
        return n_out

    def _is_one_word(self, word: np.ndarray) -> bool:
        try:
            word.tobytes().decode()
        except UnicodeDecodeError:
            return False
        pattern = self.pattern
        stop = kernel.first_word(word, self._classes, self._joins, pattern.kind, pattern.longest_number)
        return int(stop) == len(word)

    def _forget(self) -> None:
        self._keys.fill(0)
        self._used.fill(0)

    def _check_every_token_merges(self, vocabulary: Mapping[str, int]) -> None:
        """With `ignore_merges` a word that is a token is that token; so it has to be, by merging, too."""
        if self.pattern.kind == kernel.SENTENCEPIECE:
            raise Refused("ignore_merges with SentencePiece")
        bytes_of = {character: byte for byte, character in enumerate(byte_characters())}
        out = np.empty(1 << 10, np.uint32)
        for token, number in vocabulary.items():
            if any(character not in bytes_of for character in token):
                continue  # a special token; no text spells it in this alphabet
            word = np.array([bytes_of[character] for character in token], np.uint8)
            if len(word) > kernel.LONGEST_WORD_BYTES or not self._is_one_word(word):
                continue  # the library decides, or no word at all
            if self._encode(word, out, 0) != 1 or out[0] != number:
                raise Refused(f"token {token!r} is not what its merges give, and ignore_merges is set")
        self._forget()


def byte_characters() -> list[str]:
    """The character that stands for each byte in a byte-level vocabulary (GPT-2's table)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    characters = [""] * 256
    for byte in shown:
        characters[byte] = chr(byte)
    for number, byte in enumerate(byte for byte in range(256) if not characters[byte]):
        characters[byte] = chr(256 + number)
    return characters


@functools.cache
def code_point_classes() -> np.ndarray:
    """Letter, number, white space or sign, for every code point, uint8; read-only.

    From Python's Unicode tables. What they do not hold yet is of unknown class, since the library's
    newer ones may know it for a letter.
    """
    classes = np.full(N_POINTS, kernel.SIGN, np.uint8)
    by_category = {"L": kernel.LETTER, "N": kernel.NUMBER, "Cn": kernel.UNKNOWN, "Cs": kernel.UNKNOWN}
    for point in range(N_POINTS):
        category = unicodedata.category(chr(point))
        found = by_category.get(category, by_category.get(category[0]))
        if found is not None:
            classes[point] = found
    for character in _white_space():
        classes[ord(character)] = kernel.SPACE
    classes.setflags(write=False)
    return classes


def _white_space() -> str:
    ranges = WHITE_SPACE.replace("\t-\r", "\t\n\v\f\r")
    return ranges.replace("\u2000-\u200a", "".join(map(chr, range(0x2000, 0x200B))))


def _byte_ids(vocabulary: Mapping[str, int], pattern: Pattern) -> np.ndarray:
    if pattern.kind == kernel.SENTENCEPIECE:
        names = [_BYTE_TOKEN.format(byte) for byte in range(256)]
    else:
        names = byte_characters()
    if missing := [name for name in names if name not in vocabulary]:
        raise Refused(f"no token for byte {missing[0]!r}")
    return np.array([vocabulary[name] for name in names], np.int64)


def _point_ids(vocabulary: Mapping[str, int], pattern: Pattern) -> np.ndarray:
    if pattern.kind != kernel.SENTENCEPIECE:
        return np.full(1, -1, np.int64)
    if LOW_LINE not in vocabulary:
        raise Refused(f"no token for {LOW_LINE!r}")
    ids = np.full(N_POINTS, -1, np.int64)
    for token, number in vocabulary.items():
        if len(token) == 1:
            ids[ord(token)] = number
    return ids


def _joins(model: Mapping[str, Any], pattern: Pattern) -> np.ndarray:
    """Which two characters stand side by side in some token that merging makes, flat (JOIN_CLASSES squared).

    Where two do not, no merge ever reaches across them: the text may be cut there.
    """
    joins = np.zeros((kernel.JOIN_CLASSES, kernel.JOIN_CLASSES), np.uint8)
    if pattern.kind == kernel.SENTENCEPIECE:
        for left, right in merges_of(model):
            classes = [32 if c == LOW_LINE else min(ord(c), kernel.JOIN_CLASSES - 1) for c in left + right]
            joins[classes[:-1], classes[1:]] = 1
    return joins.ravel()


def _pair_table(model: Mapping[str, Any], vocabulary: Mapping[str, int]) -> np.ndarray:
    merges = merges_of(model)
    try:
        rows = [(vocabulary[left], vocabulary[right], vocabulary[left + right]) for left, right in merges]
    except KeyError as error:
        raise Refused(f"a merge of or to {error}, which is no token") from error
    size = 1 << max(4, (2 * len(rows)).bit_length())
    pairs = np.full((size, 2), np.iinfo(np.uint64).max, np.uint64)
    columns = np.array(rows, np.int64).reshape(len(rows), 3)
    kernel.fill_pairs(pairs, columns[:, 0].copy(), columns[:, 1].copy(), columns[:, 2].copy())
    return pairs
