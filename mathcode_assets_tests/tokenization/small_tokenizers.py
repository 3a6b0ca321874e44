"""Small tokenizers of every family the compiled encoder knows, and of some it does not, trained on a few lines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]
LINES = [
    "The derivative of x^2 is 2x, and it's the slope at x = 12345.",
    "def mean(values):\n    return sum(values) / len(values)\n\n\n# don't divide by 0\n",
    "Let $f(x) = \\frac{1}{x}$; we'll show that f isn't bounded near 0.  Then\t\tg = 1 - f.",
    "Größe, naïve café, ∑ über α ∈ Ω, 東京 and 数学, ½ and Ⅷ.",
    "The the then there their these, in an on at to of a; 0.5 10 100 1000 10000!!! ??? ... --- ===",
]
LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2_PATTERN = LLAMA3_PATTERN.replace("{1,3}", "")
FAST = ("own", "gpt2", "llama3", "qwen2", "llama2", "metaspace")


def tokenizer_json(family: str, lines: Iterable[str] = LINES, *, vocab_size: int = 700) -> bytes:
    """A `tokenizer.json` of a family, trained on some lines."""
    if family in ("llama2", "metaspace"):
        return json.dumps(_sentencepiece(family, lines, vocab_size), ensure_ascii=False).encode()
    if family == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer: Any = trainers.UnigramTrainer(
            vocab_size=300, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
        )
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = _pre_tokenizer(family)
        if family == "qwen2":
            tokenizer.normalizer = normalizers.NFC()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=SPECIAL[1:],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(lines, trainer)
    if family == "llama3":
        # As published: text that is encoded gets its begin from the post-processor.
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
        )
    parsed = json.loads(tokenizer.to_str())
    if family == "llama3":
        parsed["model"]["ignore_merges"] = True
    return json.dumps(parsed, ensure_ascii=False).encode()


def _pre_tokenizer(family: str) -> pre_tokenizers.PreTokenizer:
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    patterns = {"llama3": LLAMA3_PATTERN, "qwen2": QWEN2_PATTERN}
    if family in patterns:
        split = pre_tokenizers.Split(Regex(patterns[family]), "isolated")
        return pre_tokenizers.Sequence([split, bytes_only])
    if family == "own":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), plain])
    if family == "prefix_space":  # not known to the compiled encoder
        return pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=True)
    return plain


def _sentencepiece(family: str, lines: Iterable[str], vocab_size: int) -> dict[str, Any]:
    """BPE over characters with the 256 bytes to fall back on, in the two ways such files are written."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    # SentencePiece trains on words of one script; letters and signs seldom share a token in Llama-2 or Mistral.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="first"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Split(Regex(r"[^\p{L}\u2581]+"), "isolated"),
        ]
    )
    specials = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer.train_from_iterator(
        (line.replace("東", "") for line in lines),  # one character is left to its bytes
        trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=specials, show_progress=False),
    )
    parsed = json.loads(tokenizer.to_str())
    parsed["added_tokens"] = [token for token in parsed["added_tokens"] if token["content"] in SPECIAL]
    if family == "llama2":
        steps = [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
        ]
        parsed |= {"pre_tokenizer": None, "normalizer": {"type": "Sequence", "normalizers": steps}}
    else:
        step = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False}
        parsed["pre_tokenizer"] = step
    return parsed
