"""Texts to ids with any Hugging Face tokenizer: the compiled encoder where it knows the tokenizer, else the library.

Documents are encoded without the tokenizer's own special tokens; its begin and end of a document are put
once, here. Text that spells a special token stays text.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers import normalizers

from mathcode_assets.text.pieces import pieces_at_white_space
from mathcode_assets.text.tokens import ENCODE_CHARS, LONGEST_WORD_CHARS
from mathcode_assets.tokenization.fast import FastEncoder, UnknownCharacter
from mathcode_assets.tokenization.patterns import LOW_LINE, Refused
from mathcode_assets.tokenization.special_tokens import SpecialTokenConfig, special_tokens

TOKENIZER_FILE = "tokenizer.json"


class TextEncoder:
    """A loaded tokenizer that encodes documents. Not safe to share between threads.

    Attributes:
        name: `<name>@<first 12 hex digits of tokenizer_hash>`, as in the counts.
        tokenizer_hash: SHA-256 of `tokenizer.json`, 64 hex digits.
        vocab_size: one above the largest id.
        special: begin, end and padding of a document.
        refused: why the compiled encoder is not used; None where it is.
        n_by_library: texts that the library had to encode so far.
    """

    def __init__(
        self,
        data: bytes,
        *,
        name: str,
        folder: Path | None = None,
        config: SpecialTokenConfig | None = None,
        fast: bool = True,
    ) -> None:
        # Workers are processes of their own; threads of the library on top would fight them for cores.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        parsed = json.loads(data)
        self.data = data
        self.tokenizer_hash = hashlib.sha256(data).hexdigest()
        self.name = f"{name}@{self.tokenizer_hash[:12]}"
        self.n_by_library = 0
        self._library = tokenizers.Tokenizer.from_str(data.decode())
        self._library.no_truncation()
        self._library.no_padding()
        # A document that spells `</s>` holds those characters, not the end of a text.
        self._library.encode_special_tokens = True
        self.vocab_size = max(self._library.get_vocab(with_added_tokens=True).values()) + 1
        # The library numbers an added token anew where the file's id leaves a gap.
        for token in parsed["added_tokens"]:
            token["id"] = self._library.token_to_id(token["content"])
        self.special = special_tokens(parsed, folder, config or SpecialTokenConfig())
        self._special_texts, self._special_ids = _never_from_text(parsed)
        # Added tokens that are not special are found in the text before anything else.
        self._added_texts = [token["content"] for token in parsed["added_tokens"] if not token["special"]]
        self._words = _word_encoder(self._library, sentencepiece=bool(parsed["model"].get("byte_fallback")))
        self._fast: FastEncoder | None = None
        self.refused: str | None = None if fast else "not asked for"
        if fast:
            try:
                self._fast = FastEncoder(parsed, self._encode_word)
            except Refused as reason:
                self.refused = str(reason)

    def use_library(self, reason: str) -> None:
        """Encode everything by the library from now on."""
        self._fast, self.refused = None, reason

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Ids of all texts, uint32, and where each begins and the last ends, int64 (n_texts + 1).

        Each text begins with the begin of a document, if the tokenizer has one, and ends with its end. A
        text without any id of its own (empty, or nothing left of it) gets neither.
        """
        special = self.special
        begin = np.array([special.bos_id] if special.adds_bos else [], np.uint32)
        end = np.array([special.eos_id], np.uint32)
        parts: list[np.ndarray] = []
        offsets = np.zeros(len(texts) + 1, np.int64)
        for number, text in enumerate(texts):
            ids = self.encode_text(text)
            if len(ids):
                parts += [begin, ids, end]
            offsets[number + 1] = offsets[number] + (len(begin) + len(ids) + len(end) if len(ids) else 0)
        return (np.concatenate(parts) if parts else np.empty(0, np.uint32)), offsets

    def encode_text(self, text: str) -> np.ndarray:
        """Ids of one text, uint32, without any special token."""
        if self._fast is not None and not any(added in text for added in self._added_texts):
            try:
                return self._fast.encode(text)
            except UnknownCharacter:
                pass
        self.n_by_library += 1
        return self.encode_by_library(text)

    def encode_by_library(self, text: str) -> np.ndarray:
        """Ids of one text by the library, uint32: what `encode_text` has to agree with.

        A text above a million characters is encoded in pieces, cut as the counts cut it
        (`text.tokens`); ids beside a cut may differ from those of the whole.
        """
        parts = [self._guarded(piece) for piece in _pieces(text)]
        return np.concatenate(parts) if parts else np.empty(0, np.uint32)

    def _guarded(self, text: str) -> np.ndarray:
        ids = _ids(self._library, text)
        # A Unigram or WordPiece vocabulary may hold `</s>` as a word of its own.
        if len(self._special_ids) and np.isin(ids, self._special_ids).any():
            cut = _cut_inside(text, self._special_texts)
            if len(cut) > 1:
                return np.concatenate([_ids(self._library, piece) for piece in cut])
        return ids

    def _encode_word(self, word: str) -> np.ndarray:
        return np.concatenate([_ids(self._words, piece) for piece in _pieces(word)])


def load_encoder(
    path: Path | str, *, name: str | None = None, config: SpecialTokenConfig | None = None, fast: bool = True
) -> TextEncoder:
    """The encoder of a model's folder, or of a lone `tokenizer.json`.

    Args:
        path: folder or file.
        name: for `TextEncoder.name`; default the name of the folder, or of the file without its ending.
        config: special tokens.
        fast: False leaves everything to the library.

    Raises:
        FileNotFoundError: no tokenizer there.
        UnknownSpecialToken: no token ends a document.
    """
    path = Path(path)
    if path.is_dir():
        file, folder = path / TOKENIZER_FILE, path
    else:
        file, folder = path, None
    return TextEncoder(file.read_bytes(), name=name or path.resolve().stem, folder=folder, config=config, fast=fast)


def _ids(tokenizer: tokenizers.Tokenizer, text: str) -> np.ndarray:
    encoding = tokenizer.encode_batch_fast([text], add_special_tokens=False)[0]
    return np.array(encoding.ids, np.uint32)


def _pieces(text: str) -> list[str]:
    if len(text) <= ENCODE_CHARS:
        return [text]
    return list(pieces_at_white_space(text, size=ENCODE_CHARS, longest=ENCODE_CHARS + LONGEST_WORD_CHARS))


def _word_encoder(library: tokenizers.Tokenizer, *, sentencepiece: bool) -> tokenizers.Tokenizer:
    """Encodes one word that pre-tokenisation has already made: SentencePiece's prefix must not come again."""
    if not sentencepiece:
        return library
    words = tokenizers.Tokenizer(library.model)
    words.normalizer = normalizers.Replace(" ", LOW_LINE)
    return words


def _never_from_text(parsed: dict) -> tuple[list[str], np.ndarray]:
    """Special tokens that no text may become; the unknown token is one a text may."""
    unknown = parsed["model"].get("unk_token")
    tokens = [token for token in parsed["added_tokens"] if token["special"] and token["content"] != unknown]
    return [token["content"] for token in tokens], np.array([token["id"] for token in tokens], np.uint32)


def _cut_inside(text: str, special_texts: Sequence[str]) -> list[str]:
    """The text cut behind the first character of each special token it spells."""
    cuts = set()
    for special in special_texts:
        at = text.find(special)
        while at >= 0 and len(special) > 1:
            cuts.add(at + 1)
            at = text.find(special, at + 1)
    borders = [0, *sorted(cuts), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(borders)]
