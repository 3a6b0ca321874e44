"""Packing conserves tokens, cuts only what is too long, and pads next to nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.sources.listing import list_inputs
from mathcode_assets.sources.raw_records import ReadLimits
from mathcode_assets.storage.filesystem import locate
from mathcode_assets.tokenization.best_fit import best_fit_decreasing, pack_pieces
from mathcode_assets.tokenization.documents import token_batch
from mathcode_assets.tokenization.packed_files import Corpus, write_packed
from mathcode_assets.tokenization.packing import PackingConfig, PackingCounts, pack_documents
from mathcode_assets.tokenization.sequences import IGNORED, PackedDataset

CORPUS = Corpus(
    corpus_fingerprint="f00d", tokenizer="t@0", tokenizer_hash="0", vocab_size=1000, bos_id=0, eos_id=1, pad_id=2
)


def token_rows(lengths: list[int], *, first: int = 0) -> pa.RecordBatch:
    """Documents whose tokens tell where they are from: each counts on from the one before, 3 to 999."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = (np.arange(offsets[-1]) % 997 + 3).astype(np.uint32)
    return token_batch([f"doc-{first + number}" for number in range(len(lengths))], ids, offsets)


def packed(tmp_path: Path, batches: list[pa.RecordBatch], **config: int) -> PackedDataset:
    write_packed(batches, locate(tmp_path), corpus=CORPUS, config=PackingConfig(**config))
    return PackedDataset(tmp_path)


def test_best_fit_by_eye() -> None:
    # 7 opens a sequence, 6 another, 4 fits the 6 exactly, 3 the 7 exactly, 2 opens a third.
    sequence_of, n_sequences = best_fit_decreasing(np.array([2, 7, 3, 6, 4]), 10)
    assert sequence_of.tolist() == [2, 0, 0, 1, 1]
    assert n_sequences == 3


def test_the_fullest_that_fits_is_taken() -> None:
    # 8 leaves 2, 7 leaves 3: a 2 goes to the 8, though the 7 could take it.
    assert best_fit_decreasing(np.array([8, 7, 2]), 10)[0].tolist() == [0, 1, 0]


def test_gaps_that_best_fit_leaves_are_closed() -> None:
    # Best-fit: 5 + 5, then 4 + 4 and 2 free, then 3 + 3 + 3 and 1 free, 3: four sequences for 30 tokens of 10.
    lengths = np.array([5, 5, 4, 4, 3, 3, 3, 3])
    assert best_fit_decreasing(lengths, 10)[1] == 4
    # 5 is closed by 5, and each 4 by 3 + 3.
    sequence_of, n_sequences = pack_pieces(lengths, 10)
    assert n_sequences == 3
    assert np.bincount(sequence_of, weights=lengths).tolist() == [10, 10, 10]


@settings(max_examples=100, deadline=None)
@given(lengths=st.lists(st.integers(1, 30), max_size=100), spare=st.integers(0, 30))
def test_it_never_costs_a_sequence_and_overfills_none(lengths: list[int], spare: int) -> None:
    length = 30 + spare
    sequence_of, n_sequences = pack_pieces(np.array(lengths, np.int64), length)
    assert n_sequences <= best_fit_decreasing(np.array(lengths, np.int64), length)[1]
    filled = np.bincount(sequence_of, weights=lengths, minlength=n_sequences)
    assert len(filled) == n_sequences and (filled > 0).all() and (filled <= length).all()


def test_a_piece_that_does_not_fit_is_refused() -> None:
    for bad in (0, 11):
        with pytest.raises(ValueError, match="not in"):
            best_fit_decreasing(np.array([bad]), 10)


def test_sequences_by_eye(tmp_path: Path) -> None:
    """Documents of 3, 14 and 5 tokens in sequences of 8: the second is cut in 8 and 6, and 5 + 3 fill one."""
    dataset = packed(tmp_path, [token_rows([3, 14, 5])], length=8)
    assert len(dataset) == 3
    assert [dataset.pieces(index).tolist() for index in range(3)] == [[8], [6], [5, 3]]
    third = dataset[2]
    assert third["input_ids"].tolist() == [20, 21, 22, 23, 24, 3, 4, 5]
    assert third["position_ids"].tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    assert third["labels"].tolist() == [IGNORED, 21, 22, 23, 24, IGNORED, 4, 5]
    second = dataset[1]
    assert second["input_ids"].tolist() == [14, 15, 16, 17, 18, 19, 2, 2]
    assert second["position_ids"].tolist() == [0, 1, 2, 3, 4, 5, 0, 1]
    assert second["labels"].tolist() == [IGNORED, 15, 16, 17, 18, 19, IGNORED, IGNORED]
    facts = dataset.packing
    assert (facts["n_tokens"], facts["n_padding"], facts["n_documents"], facts["n_cut_documents"]) == (22, 2, 3, 1)
    assert facts["dtype"] == "uint16"
    rows = pq.read_table(tmp_path / "documents-00000.parquet").to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (0, 0, "doc-1", 0),
        (1, 0, "doc-1", 8),
        (2, 0, "doc-2", 0),
        (2, 1, "doc-0", 0),
    ]


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.one_of(st.integers(0, 12), st.integers(0, 200)), min_size=1, max_size=200),
    length=st.integers(2, 40),
    window=st.integers(1, 4_000),
    cut=st.integers(1, 200),
)
def test_every_token_is_there_once_and_in_order(lengths: list[int], length: int, window: int, cut: int) -> None:
    whole = token_rows(lengths)
    config = PackingConfig(length=length, window_tokens=window)
    counts = PackingCounts()
    shards = list(pack_documents([whole], config, pad_id=2, vocab_size=1000, counts=counts))
    pieces: dict[str, dict[int, np.ndarray]] = {}
    sequence = 0
    for shard in shards:
        rows = iter(shard.documents.to_pylist())
        for number in range(shard.n_sequences):
            at = 0
            for size in shard.pieces[shard.offsets[number] : shard.offsets[number + 1]]:
                row = next(rows)
                assert row["sequence"] == sequence
                pieces.setdefault(row["doc_id"], {})[row["start"]] = shard.tokens[number, at : at + size]
                at += size
            assert at <= length
            assert (shard.tokens[number, at:] == 2).all()
            sequence += 1
    for doc_id, tokens in zip(whole["doc_id"].to_pylist(), whole["tokens"].to_pylist(), strict=True):
        parts = pieces.pop(doc_id, {})
        assert [start for start in sorted(parts)] == list(range(0, len(tokens), length))
        assert [int(t) for start in sorted(parts) for t in parts[start]] == tokens
    assert not pieces
    assert counts.n_tokens + counts.n_padding == counts.n_sequences * length
    assert counts.n_tokens == sum(lengths) and counts.n_cut_documents == sum(n > length for n in lengths)
    # The same rows in other batches give the same sequences.
    batches = [whole.slice(at, cut) for at in range(0, len(whole), cut)]
    again = list(pack_documents(batches, config, pad_id=2, vocab_size=1000, counts=PackingCounts()))
    assert all((a.tokens == b.tokens).all() for a, b in zip(shards, again, strict=True))


def test_windows_leave_no_padding_behind() -> None:
    draw = np.random.default_rng(3407)
    lengths = np.minimum(draw.lognormal(6, 1.3, 20_000).astype(int) + 1, 50_000).tolist()
    counts = PackingCounts()
    config = PackingConfig(length=2048, window_tokens=1 << 20)
    shards = list(pack_documents([token_rows(lengths)], config, pad_id=2, vocab_size=1000, counts=counts))
    assert len(shards) > 5
    assert counts.n_padding <= 0.001 * counts.n_sequences * 2048


def test_ids_beyond_the_vocabulary_are_refused() -> None:
    with pytest.raises(ValueError, match="doc-0 holds id"):
        list(
            pack_documents(
                [token_rows([900])], PackingConfig(length=8), pad_id=2, vocab_size=100, counts=PackingCounts()
            )
        )


def test_a_large_vocabulary_takes_four_bytes(tmp_path: Path) -> None:
    from dataclasses import replace

    corpus = replace(CORPUS, vocab_size=128_256)
    ids = np.array([128_000, 5, 128_255], np.uint32)
    write_packed(
        [token_batch(["a"], ids, np.array([0, 3]))], locate(tmp_path), corpus=corpus, config=PackingConfig(length=4)
    )
    dataset = PackedDataset(tmp_path)
    assert dataset.packing["dtype"] == "uint32"
    assert dataset[0]["input_ids"].tolist() == [128_000, 5, 128_255, 2]


def test_the_same_packing_is_not_made_again_and_another_leaves_nothing_of_it(tmp_path: Path) -> None:
    rows = [token_rows([30] * 300, first=k) for k in range(3)]
    packed(tmp_path, rows, length=64, window_tokens=1)
    names = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert "tokens-00002.npy" in names
    facts = write_packed(iter(()), locate(tmp_path), corpus=CORPUS, config=PackingConfig(length=64, window_tokens=1))
    assert facts["n_documents"] == 900  # nothing was read
    dataset = packed(tmp_path, rows[:1], length=128)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "documents-00000.parquet",
        "offsets-00000.npy",
        "packing.json",
        "pieces-00000.npy",
        "tokens-00000.npy",
    ]
    assert dataset.length == 128
    packed(tmp_path, rows, length=64, window_tokens=1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == names


def test_a_packing_that_was_stopped_is_none(tmp_path: Path) -> None:
    def stopped():
        yield token_rows([30] * 300)
        raise KeyboardInterrupt

    packed(tmp_path, [token_rows([5])], length=8)
    with pytest.raises(KeyboardInterrupt):
        write_packed(stopped(), locate(tmp_path), corpus=CORPUS, config=PackingConfig(length=64, window_tokens=1))
    with pytest.raises(FileNotFoundError):
        PackedDataset(tmp_path)


@pytest.mark.shared_data
@pytest.mark.parametrize("length", [2048, 4096, 8192])
def test_real_text_pads_at_most_a_thousandth(shared_data: Path, length: int) -> None:
    """Lengths of real documents, in tokens of four characters: what is packed does not matter here."""
    from mathcode_assets.sources.formats import raw_records

    lengths = []
    for file in list_inputs(f"{shared_data}/open_web_math/data/*.parquet", f"{shared_data}/cc_en/*.jsonl.zst"):
        for record in raw_records(file, ReadLimits(), needed=(), present=[["text"]]):
            lengths.append(len(record.fields["text"]) // 4 + 2)
    counts = PackingCounts()
    batches = [token_rows(lengths[at : at + 1000], first=at) for at in range(0, len(lengths), 1000)]
    for _ in pack_documents(batches, PackingConfig(length=length), pad_id=2, vocab_size=1000, counts=counts):
        pass
    assert counts.n_padding <= 0.001 * counts.n_sequences * length
    assert counts.n_cut_documents == sum(n > length for n in lengths)
