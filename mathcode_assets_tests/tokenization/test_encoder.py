"""Ids are the library's, begin and end come once, and no text becomes a control token."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mathcode_assets.tokenization.documents import EncodersDiffer, TokenizeConfig, tokenize_documents
from mathcode_assets.tokenization.encoder import TextEncoder, load_encoder
from mathcode_assets.tokenization.special_tokens import SpecialTokenConfig, UnknownSpecialToken
from mathcode_assets_tests.tokenization.small_tokenizers import FAST, LINES, tokenizer_json

_LOADED: dict[str, tuple[TextEncoder, tokenizers.Tokenizer]] = {}


def loaded(family: str) -> tuple[TextEncoder, tokenizers.Tokenizer]:
    """The encoder of a family and the plain library, each made once."""
    if family not in _LOADED:
        data = tokenizer_json(family)
        plain = tokenizers.Tokenizer.from_str(data.decode())
        plain.encode_special_tokens = True
        _LOADED[family] = TextEncoder(data, name=family), plain
    return _LOADED[family]


def by_library(family: str, text: str) -> list[int]:
    return loaded(family)[1].encode(text, add_special_tokens=False).ids


HARD = [
    "",
    " ",
    "\x00",
    "a\x00b \x00\x00",
    "  two  spaces   before 5 and  \n\n  lines \r\n\r\n\t tab\ttab  ",
    "it's IT'S we'LL I'd 'tis 'S ' s '' 'ſ",
    "1234567 12 ½ Ⅷ ٣٤٥ 3.14",
    "<s> </s> <|end_of_text|> <unk> <pad> a</s>b",
    "\u2028line\u2029par\x85nel\u00a0nbsp\u3000wide\u200bzero\ufeff",
    "e\u0301 is not é in bytes; \u1100\u1161 Å",
    "\u2581under \u2581\u2581 line\u2581 ",
    "東京 数学 😀😀 \U0001f469\u200d\U0001f52c",
    "\u0378 not assigned, \U000323b0 assigned after Python's tables",
    "x" * 300 + " " * 300 + "=" * 300 + "\n" * 300,
    "    return\n        if x:\n\n\n\n            pass  ",
    "<0x0A> <0xE6>",
]


@pytest.mark.parametrize("family", FAST)
@pytest.mark.parametrize("text", [*HARD, *LINES], ids=range(len(HARD) + len(LINES)))
def test_ids_are_the_librarys(family: str, text: str) -> None:
    encoder, _ = loaded(family)
    assert encoder.refused is None
    assert encoder.encode_text(text).tolist() == by_library(family, text)


ALPHABET = st.one_of(
    st.sampled_from(list(" \n\r\t'sStTlLvVeErRdDmM019.,(){}\\$=_-\u2581é東½\x00\u017f\u00a0")),
    st.characters(codec="utf-8"),
)


@pytest.mark.parametrize("family", FAST)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(ALPHABET, max_size=60))
def test_ids_of_any_text_are_the_librarys(family: str, text: str) -> None:
    assert loaded(family)[0].encode_text(text).tolist() == by_library(family, text)


def test_words_are_forgotten_when_memory_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, _ = loaded("own")
    fast = encoder._fast
    assert fast is not None
    fast._used[0] = 1 << 40  # as if full
    assert encoder.encode_text(LINES[0]).tolist() == by_library("own", LINES[0])
    assert 0 < fast._used[0] < 100


@pytest.mark.parametrize("family", ["prefix_space", "unigram"])
def test_a_tokenizer_of_other_ways_is_left_to_the_library(family: str) -> None:
    encoder, _ = loaded(family)
    assert encoder.refused
    for text in [*LINES, "", "a  b"]:
        assert encoder.encode_text(text).tolist() == by_library(family, text)


def test_added_tokens_that_are_not_special_are_found_in_the_text() -> None:
    parsed = json.loads(tokenizer_json("gpt2"))
    entry = dict(parsed["added_tokens"][0], id=5_000, content="<tool>", special=False)
    parsed["added_tokens"].append(entry)
    encoder = TextEncoder(json.dumps(parsed).encode(), name="tools")
    assert encoder.refused is None
    # The library gives it the next free id, whatever the file says.
    assert encoder.vocab_size - 1 in encoder.encode_text("call <tool> now").tolist()
    assert encoder.n_by_library == 1


def test_begin_and_end_come_once_though_the_post_processor_adds_a_begin() -> None:
    encoder, plain = loaded("llama3")
    begin, end = plain.token_to_id("<s>"), plain.token_to_id("</s>")
    assert plain.encode("x").ids[0] == begin  # with its own post-processor
    ids, offsets = encoder.encode(["x = 1", "", "<s>y</s>"])
    first, empty, last = (ids[a:b].tolist() for a, b in itertools.pairwise(offsets))
    assert first == [begin, *by_library("llama3", "x = 1"), end]
    assert empty == []
    assert (last[0], last[-1]) == (begin, end)
    assert begin not in last[1:] and end not in last[:-1]


def test_a_document_that_spells_a_special_token_stays_text() -> None:
    for family in (*FAST, "unigram"):
        encoder, plain = loaded(family)
        control = {plain.token_to_id(text) for text in ("<s>", "</s>", "<pad>")}
        for text in ("</s>", "a</s>b", "<s><s>", " </s> ", "<pad>"):
            assert not control & set(encoder.encode_text(text).tolist()), (family, text)


def test_a_vocabulary_with_the_special_token_as_a_word_does_not_give_it_out() -> None:
    vocabulary = [("<unk>", 0.0), ("</s>", -1.0), *((c, -9.0) for c in "</s>ab")]
    library = tokenizers.Tokenizer(tokenizers.models.Unigram(vocabulary, unk_id=0))
    library.add_special_tokens(["</s>"])
    data = library.to_str().encode()
    encoder = TextEncoder(data, name="trap")
    ids = encoder.encode_text("a</s>b").tolist()
    assert encoder.special.eos_id not in ids
    assert encoder._library.decode(ids).replace(" ", "") == "a</s>b"


def test_special_tokens_as_the_folder_says(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(tokenizer_json("gpt2"))
    plain = loaded("gpt2")[1]
    assert load_encoder(tmp_path).special.adds_bos
    said = {"bos_token": {"content": "<pad>"}, "eos_token": "</s>", "add_bos_token": False}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(said))
    special = load_encoder(tmp_path).special
    assert (special.bos_id, special.eos_id, special.adds_bos) == (
        plain.token_to_id("<pad>"),
        plain.token_to_id("</s>"),
        False,
    )
    assert load_encoder(tmp_path, config=SpecialTokenConfig(add_bos=True)).special.adds_bos
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"bos_token": "</s>", "eos_token": "</s>"}))
    assert not load_encoder(tmp_path).special.adds_bos  # the end of one document is the begin of the next
    with pytest.raises(UnknownSpecialToken, match="nope"):
        load_encoder(tmp_path, config=SpecialTokenConfig(eos_token="nope"))


def test_no_end_of_a_document_is_an_error() -> None:
    parsed = json.loads(tokenizer_json("gpt2"))
    parsed["added_tokens"] = []
    with pytest.raises(UnknownSpecialToken, match="ends a document"):
        TextEncoder(json.dumps(parsed).encode(), name="bare")


def test_three_megabytes_without_a_space_and_the_same_cut_for_both_ways() -> None:
    encoder, plain = loaded("own")
    text = "ab" * 1_500_000
    ids = encoder.encode_text(text)
    assert ids.tolist() == encoder.encode_by_library(text).tolist()
    assert plain.decode(ids.tolist()) == text


def documents(texts: list[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {"doc_id": [f"doc-{number}" for number in range(len(texts))], "text": pa.array(texts, pa.large_string())}
    )


def test_one_row_a_document_in_order() -> None:
    encoder, _ = loaded("own")
    rows = list(tokenize_documents([documents(["x = 1", ""]), documents(LINES)], encoder))
    assert [len(batch) for batch in rows] == [2, len(LINES)]
    first, empty = rows[0].to_pylist()
    special = encoder.special
    assert first["tokens"] == [special.bos_id, *by_library("own", "x = 1"), special.eos_id]
    assert first["n_tokens"] == len(first["tokens"])
    assert empty == {"doc_id": "doc-1", "n_tokens": 0, "tokens": []}


def test_encoders_that_differ_are_found_out() -> None:
    encoder = TextEncoder(tokenizer_json("own"), name="broken")
    assert encoder._fast is not None
    encoder._fast._pairs[:, 0] = np.iinfo(np.uint64).max  # a compiled encoder that merges nothing
    with pytest.raises(EncodersDiffer, match="doc-0"):
        list(tokenize_documents([documents(LINES)], encoder, TokenizeConfig(check_first=1)))
    encoder.use_library("it differs")
    [batch] = tokenize_documents([documents(LINES)], encoder)
    assert batch["tokens"].to_pylist()[0][1:-1] == by_library("own", LINES[0])


def test_classes_of_code_points_are_the_librarys() -> None:
    """Every character that Python's tables hold, against the regular expressions of the library."""
    from mathcode_assets.tokenization import kernel
    from mathcode_assets.tokenization.fast import code_point_classes

    classes = code_point_classes()
    points = [point for point in range(0x110000) if classes[point] != kernel.UNKNOWN]
    text = "".join(map(chr, points))
    for kind, pattern in ((kernel.LETTER, r"\p{L}+"), (kernel.NUMBER, r"\p{N}+"), (kernel.SPACE, r"\s+")):
        split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "removed", invert=True)
        found = {character for piece, _ in split.pre_tokenize_str(text) for character in piece}
        assert {chr(point) for point in points if classes[point] == kind} == found
