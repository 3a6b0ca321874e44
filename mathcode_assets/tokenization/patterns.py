"""Which tokenizers the compiled encoder takes over, read from their `tokenizer.json`.

Anything not listed here is refused, with the reason, and is encoded by the library. Taken are BPE
models over bytes with the pre-tokenisation of

- GPT-2, alone or behind single digits (our own, SmolLM2, StarCoder),
- cl100k and Llama-3 (numbers of up to three digits), Qwen2 (single digits),

and BPE models over characters in the way of SentencePiece (Llama-2, Mistral, CodeLlama). Those have no
pre-tokenisation; `kernel` cuts the text where no merge can reach across.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mathcode_assets.tokenization import kernel

LOW_LINE = "\u2581"

_GPT4_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Digits of one number, by how the pattern spells them.
_GPT4_PATTERNS = {_GPT4_PATTERN % r"\p{N}{1,3}": 3, _GPT4_PATTERN % r"\p{N}": 1}
_BYTE_TOKEN = re.compile("<0x[0-9A-F]{2}>")
_LOW_LINE_FOR_SPACE = {"type": "Replace", "pattern": {"String": " "}, "content": LOW_LINE}
_PREPEND_LOW_LINE = {"type": "Prepend", "prepend": LOW_LINE}


class Refused(ValueError):
    """The compiled encoder does not know this tokenizer's ways; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """How a tokenizer makes words of a text.

    Attributes:
        kind: a pattern of `kernel`.
        longest_number: digits that stay together (GPT4 only).
        compose: the text is brought to NFC first.
        prefix_space: a space is put before a text that is not empty.
        prefix_space_once: ... unless it begins with one.
    """

    kind: int
    longest_number: int = 0
    compose: bool = False
    prefix_space: bool = False
    prefix_space_once: bool = False


def pattern_of(parsed: Mapping[str, Any]) -> Pattern:
    """The pattern of a parsed `tokenizer.json`.

    Raises:
        Refused: its normaliser, pre-tokeniser or model is none of those listed above.
    """
    model = parsed["model"]
    if model.get("type") != "BPE":
        raise Refused(f"model {model.get('type')}")
    if model.get("dropout"):
        raise Refused("BPE dropout")
    if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        raise Refused("marks at the borders of words")
    if model.get("byte_fallback"):
        return _sentencepiece(parsed)
    return _byte_level(parsed)


def _byte_level(parsed: Mapping[str, Any]) -> Pattern:
    steps = _steps(parsed["pre_tokenizer"], "pretokenizers")
    normalizers = _steps(parsed["normalizer"], "normalizers")
    compose = [step["type"] for step in normalizers] == ["NFC"]
    if normalizers and not compose:
        raise Refused("a normaliser other than NFC")
    if not steps or steps[-1]["type"] != "ByteLevel" or steps[-1]["add_prefix_space"]:
        raise Refused("no byte-level pre-tokeniser at the end, or one that adds a space")
    *before, last = steps
    if last.get("use_regex", True):
        if not before:
            return Pattern(kind=kernel.GPT2, compose=compose)
        if len(before) == 1 and before[0] == {"type": "Digits", "individual_digits": True}:
            return Pattern(kind=kernel.GPT2_DIGITS_APART, compose=compose)
    elif len(before) == 1 and before[0]["type"] == "Split":
        split = before[0]
        longest = _GPT4_PATTERNS.get(split["pattern"].get("Regex", ""))
        if longest and split["behavior"] == "Isolated" and not split["invert"]:
            return Pattern(kind=kernel.GPT4, longest_number=longest, compose=compose)
    raise Refused("a pre-tokenisation that is not known")


def _sentencepiece(parsed: Mapping[str, Any]) -> Pattern:
    steps = _steps(parsed["pre_tokenizer"], "pretokenizers")
    normalizers = _steps(parsed["normalizer"], "normalizers")
    # A byte is written out, and the characters of its name say nothing of what stands beside it.
    if any(_BYTE_TOKEN.search(part) for merge in merges_of(parsed["model"]) for part in merge):
        raise Refused("merges of bytes")
    if normalizers and not steps:
        if normalizers == [_PREPEND_LOW_LINE, _LOW_LINE_FOR_SPACE]:
            return Pattern(kind=kernel.SENTENCEPIECE, prefix_space=True)
        if normalizers == [_LOW_LINE_FOR_SPACE]:
            return Pattern(kind=kernel.SENTENCEPIECE)
    if not normalizers and len(steps) == 1 and steps[0]["type"] == "Metaspace":
        step = steps[0]
        # "first" and "always" are one where the text is not split.
        if step["replacement"] == LOW_LINE and not step.get("split", True):
            once = step.get("prepend_scheme", "always") != "never"
            return Pattern(kind=kernel.SENTENCEPIECE, prefix_space=once, prefix_space_once=once)
    raise Refused("a SentencePiece normalisation that is not known")


def _steps(part: Mapping[str, Any] | None, name: str) -> list[Mapping[str, Any]]:
    if part is None:
        return []
    return list(part[name]) if part["type"] == "Sequence" else [part]


def merges_of(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The merges of a BPE model, best first; older files write each as one string."""
    pairs = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    if any(len(pair) != 2 for pair in pairs):
        raise Refused("a merge that is not a pair")
    return pairs
