"""The pile as tokens and as packed sequences, on the embedded sample."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from mathcode_assets.defs.assets.tokens import PACKED_KEY, TOKENIZER_FILE, TOKENS_KEY
from mathcode_assets.defs.checks import PADDING
from mathcode_assets.tokenization.sequences import PackedDataset
from mathcode_assets_tests.conftest import BuiltLake


@pytest.fixture
def packed(sample_lake: BuiltLake) -> Path:
    return sample_lake.workspace.artifact_folder(PACKED_KEY)


def special_ids(library: Tokenizer) -> set[int]:
    return {number for number, token in library.get_added_tokens_decoder().items() if token.special}


def test_every_document_of_the_pile_is_tokenised_as_the_library_does(sample_lake: BuiltLake, packed: Path) -> None:
    library = Tokenizer.from_file(str(packed / TOKENIZER_FILE))
    pile = sample_lake.workspace.lake.table("mixture/mathcode_pile")
    texts = {row["doc_id"]: row["text"] for batch in pile.batches() for row in batch.to_pylist()}
    rows = [row for batch in sample_lake.workspace.lake.table(TOKENS_KEY).batches() for row in batch.to_pylist()]
    assert [row["doc_id"] for row in rows] == list(texts)
    for row in rows:
        ids = library.encode(texts[row["doc_id"]], add_special_tokens=False).ids
        assert [token for token in row["tokens"] if token not in special_ids(library)] == ids


def test_the_packed_sequences_hold_every_token_once(sample_lake: BuiltLake, packed: Path) -> None:
    tokens = sample_lake.workspace.lake.table(TOKENS_KEY)
    expected = np.concatenate([row for batch in tokens.batches() for row in batch.column("tokens").to_pylist()])
    dataset = PackedDataset(packed)
    found = [dataset[number]["input_ids"][: sum(dataset.pieces(number))] for number in range(len(dataset))]
    assert sorted(np.concatenate(found)) == sorted(expected)
    assert dataset.packing["length"] == 512


def test_the_padding_is_checked(sample_lake: BuiltLake) -> None:
    workspace = sample_lake.workspace
    table = workspace.lake.table(PACKED_KEY)
    manifest = table.manifest()
    assert PADDING.evaluate(workspace, table, manifest).passed
    wasteful = {**manifest.facts, "n_padding": manifest.facts["n_sequences"] * 80}
    assert not PADDING.evaluate(workspace, table, replace(manifest, facts=wasteful)).passed
