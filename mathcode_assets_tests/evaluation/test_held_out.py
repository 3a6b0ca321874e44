"""Perplexity on held-out text: every token once, windows that overlap, totals a reader can check."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.evaluation.held_out import DocumentLoss, HeldOutLoss, measure, read_texts, windows
from mathcode_assets.evaluation.items import ItemsError
from mathcode_assets.evaluation.spec import SpecError, parse_spec
from mathcode_assets.sample import sample_dir

PREFIX = -1


@given(st.integers(0, 60), st.integers(2, 20))
def test_every_token_is_predicted_once_from_what_stands_before_it(n: int, window: int) -> None:
    ids = list(range(n))
    found = list(windows(ids, prefix=PREFIX, window=window))
    assert [target for _, targets in found for target in targets] == ids
    for before, targets in found:
        read = [*before, *targets[:-1]]
        assert 1 <= len(read) <= window
        stream = [PREFIX, *ids]
        start = stream.index(before[0])
        assert stream[start : start + len(read) + 1] == [*read, targets[-1]]
        # At least half a window before each, wherever there is that much.
        assert len(before) >= min(targets[0] + 1, window // 2)


def test_a_document_that_fits_is_one_window() -> None:
    assert list(windows([5, 6, 7], prefix=0, window=3)) == [([0], [5, 6, 7])]
    before, targets = list(windows([5, 6, 7, 8, 9], prefix=0, window=4))[1]
    assert ([*before, *targets[:-1]], targets) == ([5, 6, 7, 8], [9])


def test_totals() -> None:
    """A model that gives every one of 16 letters the same share: 4 bits a letter, perplexity 16."""

    def uniform(before: Sequence[int], targets: Sequence[int]) -> float:
        return len(targets) * math.log(16)

    loss = measure(["abcd" * 10, "dcba", "é"], lambda text: text.encode("latin-1"), PREFIX, 8, uniform)
    assert [document.n_tokens for document in loss.documents] == [40, 4, 1]
    assert [document.n_bytes for document in loss.documents] == [40, 4, 2]
    assert loss.perplexity == pytest.approx(16)
    assert loss.bits_per_byte == pytest.approx(45 * 4 / 46)
    assert loss.as_dict()["n_tokens"] == 45


def test_the_error_is_that_of_a_ratio() -> None:
    even = HeldOutLoss(sha256="", window=8, documents=(DocumentLoss(n_tokens=2, n_bytes=4, nats=4 * math.log(2)),) * 3)
    assert (even.bits_per_byte, even.bits_per_byte_error) == (pytest.approx(1.0), pytest.approx(0.0))
    documents = tuple(DocumentLoss(n_tokens=1, n_bytes=1, nats=bits * math.log(2)) for bits in (1, 2, 3))
    # Of equal lengths it is the standard error of a mean: deviation 1 over the root of 3.
    assert HeldOutLoss(sha256="", window=8, documents=documents).bits_per_byte_error == pytest.approx(1 / math.sqrt(3))
    assert HeldOutLoss(sha256="", window=8, documents=documents[:1]).bits_per_byte_error is None
    hopeless = HeldOutLoss(sha256="", window=8, documents=(DocumentLoss(n_tokens=1, n_bytes=1, nats=1e6),))
    assert hopeless.perplexity == math.inf


def test_texts_of_lines_and_of_parquet_are_the_same(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = ["one\u2028line", "two\fpages", "three"]
    lines = tmp_path / "held_out.jsonl"
    lines.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), encoding="utf-8")
    pq.write_table(pa.table({"text": texts, "id": [1, 2, 3]}), tmp_path / "held_out.parquet")
    assert read_texts(lines) == read_texts(tmp_path / "held_out.parquet") == texts


@pytest.mark.parametrize("content", ["", "{}\n", '{"text": ""}\n', '{"text": 3}\n', "[]\n", "no json\n"])
def test_a_file_that_holds_no_texts_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "held_out.jsonl"
    path.write_text(content)
    with pytest.raises(ItemsError, match=r"held_out\.jsonl"):
        read_texts(path)
    with pytest.raises(ItemsError, match="nowhere"):
        read_texts(tmp_path / "nowhere.jsonl")


def test_the_task_wants_a_text_and_a_model_that_shows_its_likelihoods() -> None:
    given = {"model": {"path": "x"}, "tasks": ["perplexity"], "output": "out"}
    for change in ({}, {"held_out": "f", "model": {"path": "x", "kind": "vllm"}}):
        with pytest.raises(SpecError, match="held_out"):
            parse_spec(given | change)
    assert parse_spec(given | {"held_out": "f"}).window == 2048


def test_the_samples_text_is_not_in_the_samples_sources() -> None:
    texts = read_texts(sample_dir() / "data" / "held_out.jsonl")
    assert len(texts) >= 20 and len(set(texts)) == len(texts)
    written = "\n".join(path.read_text(encoding="utf-8") for path in (sample_dir() / "source_text").rglob("*.*"))
    written = " ".join(written.split())
    for text in texts:
        words = text.split()
        assert not [i for i in range(len(words) - 9) if " ".join(words[i : i + 10]) in written], text[:60]


@pytest.mark.train
def test_a_models_window_changes_little_and_its_order_nothing() -> None:
    """The nats of a random Llama: of one window, those transformers computes as its loss."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from mathcode_assets.evaluation.held_out import predict_with

    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
    )
    model = transformers.LlamaForCausalLM(config).eval()

    def call(ids):
        with torch.inference_mode():
            return model(ids).logits

    predict = predict_with(call, "cpu")
    ids = [int(number) for number in torch.randint(1, 64, (300,))]
    whole = measure(["x"], lambda text: ids, 0, 512, predict)
    with torch.inference_mode():
        read = torch.tensor([[0, *ids]])
        expected = model(read, labels=read).loss.item() * len(ids)
    assert whole.documents[0].nats == pytest.approx(expected, rel=1e-5)
    cut = measure(["x"], lambda text: ids, 0, 32, predict)
    assert cut.documents[0].nats == pytest.approx(whole.documents[0].nats, rel=0.05)
    assert measure(["x"], lambda text: ids, 0, 32, predict) == cut
