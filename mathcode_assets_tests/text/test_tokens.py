"""Counting equals encoding, and training gives the same bytes in every process."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers, trainers

from mathcode_assets.text import tokens
from mathcode_assets.text.tokens import Tokenizer, TokenizerConfig, load_tokenizer, train_tokenizer

TEXTS = [
    "Let $x = 12$ and $y = 345$; then $x + y = 357$.\n\nThe sum of two integers is an integer.",
    "def area(r):\n    return 3.14159 * r ** 2  # it's the circle's\n",
    "Für alle ε > 0 gibt es ein δ > 0. 数学は面白い。",
] * 5
CONFIG = TokenizerConfig(vocab_size=400)
TRAINED = train_tokenizer(TEXTS, CONFIG)
OURS = Tokenizer(TRAINED, name="ours")


def encoded(data: bytes, text: str) -> int:
    """The plain way; special tokens spelt in a text are characters of it."""
    tokenizer = tokenizers.Tokenizer.from_str(data.decode())
    tokenizer.encode_special_tokens = True
    return len(tokenizer.encode(text, add_special_tokens=False).ids)


def with_split(pattern: str) -> bytes:
    """A tokenizer whose words reach into the white space behind them, as Llama-3's do."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    split = pre_tokenizers.Split(tokenizers.Regex(pattern), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer.to_str().encode()


FOREIGN = with_split(r"[^\s\w]+[\r\n]*|\w+|\s+(?!\S)|\s+")

MIXED = st.text(st.sampled_from("ab'sté 12٣½\n\t\x0b\x1c\x85\u00a0\u2028\u3000\u180e\ufeff\u0301_$\\{}.数")) | st.text()


@settings(deadline=None)
@given(MIXED)
def test_a_count_is_the_length_of_the_encoding(text: str) -> None:
    assert OURS.count([text]).tolist() == [encoded(TRAINED, text)]
    assert OURS.count([text]).tolist() == [encoded(TRAINED, text)]  # remembered now


@pytest.mark.parametrize("text", [*TEXTS[:3], "<|end_of_text|> is text", "a<|padding|>", "   ", "\x00\x00", "I'll 'll"])
@pytest.mark.parametrize("data", [TRAINED, FOREIGN], ids=["ours", "foreign"])
def test_any_tokenizer_counts_exactly(data: bytes, text: str) -> None:
    assert Tokenizer(data, name="t").count([text, text]).tolist() == [encoded(data, text)] * 2


def test_special_tokens_spelt_in_a_text_are_text() -> None:
    assert OURS.count(["<|end_of_text|>"])[0] > 1


def test_the_foreign_tokenizer_is_one_that_must_not_be_counted_by_units() -> None:
    """Else the test above would show nothing: "$." and the line ends after it are one token."""
    assert encoded(FOREIGN, "7$.\n\nThe") < encoded(FOREIGN, "7$.") + encoded(FOREIGN, "\n\nThe")


def test_counts_are_int32_and_of_every_text() -> None:
    counts = OURS.count(["", "a", "a7"])
    assert counts.dtype == np.int32
    assert counts.tolist() == [0, 1, 2]
    assert OURS.count([]).shape == (0,)


@pytest.mark.parametrize("data", [TRAINED, FOREIGN], ids=["ours", "foreign"])
def test_a_file_that_truncates_and_pads_does_not_cap_the_counts(data: bytes) -> None:
    tokenizer = tokenizers.Tokenizer.from_str(data.decode())
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=4)
    counted = Tokenizer(tokenizer.to_str().encode(), name="t").count(["one two three four five six", "a"])
    assert counted.tolist() == Tokenizer(data, name="t").count(["one two three four five six", "a"]).tolist()


def test_forgetting_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "REMEMBERED_UNITS", 7)
    forgetful = Tokenizer(TRAINED, name="t")
    assert forgetful.count(TEXTS).tolist() == OURS.count(TEXTS).tolist()


def test_a_long_text_counts_as_its_encoding() -> None:
    text = TEXTS[0] * 20_000
    assert len(text) > 1_700_000
    assert OURS.count([text])[0] == encoded(TRAINED, text)


def test_one_endless_word_is_counted_nearly() -> None:
    text = "abc" * 700_000
    assert OURS.count([text])[0] == pytest.approx(encoded(TRAINED, text), abs=8)


def test_the_name_holds_the_hash_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(TRAINED)
    digest = hashlib.sha256(TRAINED).hexdigest()[:12]
    assert load_tokenizer(path).name == f"tokenizer@{digest}"
    assert load_tokenizer(path, name="corpus").name == f"corpus@{digest}"


def test_training_gives_the_same_bytes_in_another_process() -> None:
    script = (
        "import json, sys; from mathcode_assets.text.tokens import *; "
        "sys.stdout.buffer.write(train_tokenizer(json.load(sys.stdin), TokenizerConfig(vocab_size=400)))"
    )
    other = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps(TEXTS).encode(), capture_output=True, check=True
    )
    assert other.stdout == TRAINED


def test_digits_stand_alone_and_special_tokens_come_first() -> None:
    tokenizer = tokenizers.Tokenizer.from_str(TRAINED.decode())
    assert tokenizer.encode("x12345").tokens == ["x", "1", "2", "3", "4", "5"]
    assert [tokenizer.id_to_token(number) for number in range(3)] == list(CONFIG.special_tokens)
    assert tokenizer.decode(tokenizer.encode(TEXTS[2]).ids) == TEXTS[2]


def test_limits_and_sample_choose_what_is_read() -> None:
    read = []

    def texts():
        for number in range(100):
            read.append(number)
            yield "word " * 10

    train_tokenizer(texts(), TokenizerConfig(vocab_size=300, max_total_chars=120))
    assert read == [0, 1, 2]
    words = [f"{letter}{letter}word " * 20 for letter in "abcdefghijklmnop"]
    some = TokenizerConfig(vocab_size=400, sample_share=0.5)
    assert train_tokenizer(words, some) == train_tokenizer(words, some) != train_tokenizer(words, CONFIG)


@pytest.mark.parametrize("config", [TokenizerConfig(vocab_size=200), TokenizerConfig(sample_share=0.0)])
def test_impossible_settings_are_refused(config: TokenizerConfig) -> None:
    with pytest.raises(ValueError, match=r"vocab_size|sample_share"):
        train_tokenizer(TEXTS, config)
