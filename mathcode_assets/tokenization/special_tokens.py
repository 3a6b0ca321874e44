"""Begin, end and padding of a document: which ids they are, and whether a begin is put.

A `tokenizer.json` does not say which of its special tokens is which. The files beside it in a model's
folder do (`tokenizer_config.json`, `special_tokens_map.json`); without them, what its post-processor puts
first and last does, then the names that published tokenizers use.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# In the order they are looked for, where nothing says more.
BOS_NAMES = ("<|begin_of_text|>", "<s>", "<bos>", "[BOS]", "<|startoftext|>", "<｜begin▁of▁sentence｜>")
EOS_NAMES = ("<|end_of_text|>", "</s>", "<|endoftext|>", "<eos>", "[EOS]", "<｜end▁of▁sentence｜>", "<|im_end|>")
PAD_NAMES = ("<|padding|>", "<pad>", "[PAD]", "<|pad|>", "<|finetune_right_pad_id|>", "<｜▁pad▁｜>")
CONFIG_FILES = ("special_tokens_map.json", "tokenizer_config.json")


class UnknownSpecialToken(ValueError):
    """A special token that is asked for, or needed, is none of the tokenizer's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialTokenConfig:
    """What is put around a document.

    Attributes:
        add_bos: None puts a begin where the tokenizer has one of its own: not the token that also ends
            documents, and not where its folder says `add_bos_token: false`.
        bos_token, eos_token, pad_token: by their text; None looks for them. Without a padding token the
            end of a document pads.
    """

    add_bos: bool | None = None
    bos_token: str | None = None
    eos_token: str | None = None
    pad_token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialTokens:
    """Ids of a tokenizer; `adds_bos` says whether documents begin with `bos_id`."""

    bos_id: int | None
    eos_id: int
    pad_id: int
    adds_bos: bool


def special_tokens(parsed: Mapping[str, Any], folder: Path | None, config: SpecialTokenConfig) -> SpecialTokens:
    """The special tokens of a parsed `tokenizer.json`, and of the files beside it.

    Args:
        parsed: the tokenizer.
        folder: of the model, for what its configuration says; None for a lone file.
        config: what is asked for.

    Raises:
        UnknownSpecialToken: no end of document can be told, or a token asked for does not exist.
    """
    ids = {token["content"]: token["id"] for token in parsed["added_tokens"]}
    said = _said(folder)
    first, last = _put_around(parsed.get("post_processor"), ids)
    bos = _find("bos", config.bos_token, [said.get("bos_token"), first], BOS_NAMES, ids)
    eos = _find("eos", config.eos_token, [said.get("eos_token"), last], EOS_NAMES, ids)
    pad = _find("pad", config.pad_token, [said.get("pad_token")], PAD_NAMES, ids)
    if eos is None:
        raise UnknownSpecialToken("no token ends a document: name one (eos_token)")
    if config.add_bos and bos is None:
        raise UnknownSpecialToken("no token begins a document: name one (bos_token)")
    adds_bos = config.add_bos
    if adds_bos is None:
        adds_bos = bos is not None and bos != eos and said.get("add_bos_token") is not False
    return SpecialTokens(bos_id=bos, eos_id=eos, pad_id=eos if pad is None else pad, adds_bos=adds_bos)


def _find(
    which: str, asked: str | None, said: list[str | None], names: tuple[str, ...], ids: Mapping[str, int]
) -> int | None:
    if asked is not None:
        if asked not in ids:
            raise UnknownSpecialToken(f"{which}_token {asked!r} is no special token of the tokenizer")
        return ids[asked]
    for name in [*said, *names]:
        if name is not None and name in ids:
            return ids[name]
    return None


def _said(folder: Path | None) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for name in CONFIG_FILES if folder else ():
        path = folder / name
        if path.is_file():
            for key, value in json.loads(path.read_bytes()).items():
                # A token may be written as a string or as its whole entry.
                said[key] = value["content"] if isinstance(value, dict) and "content" in value else value
    return said


def _put_around(processor: Mapping[str, Any] | None, ids: Mapping[str, int]) -> tuple[str | None, str | None]:
    """What the post-processor puts before and behind a text, where it is one that does."""
    if processor is None:
        return None, None
    if processor["type"] == "Sequence":
        found = [_put_around(step, ids) for step in processor["processors"]]
        return next((bos for bos, _ in found if bos), None), next((eos for _, eos in found if eos), None)
    if processor["type"] != "TemplateProcessing":
        return None, None
    kinds = [next(iter(part.items())) for part in processor["single"]]
    text = next((at for at, (kind, _) in enumerate(kinds) if kind == "Sequence"), 0)
    before = [value["id"] for kind, value in kinds[:text] if kind == "SpecialToken" and value["id"] in ids]
    behind = [value["id"] for kind, value in kinds[text + 1 :] if kind == "SpecialToken" and value["id"] in ids]
    return (before[0] if before else None), (behind[-1] if behind else None)
