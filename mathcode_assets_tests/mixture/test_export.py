"""The exported folder: layout, bytes, and what a broken export leaves behind."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.mixture.data_card import ComponentCount, DataCard
from mathcode_assets.mixture.export import HUB_COLUMNS, ExportedFile, export_hub_dataset
from mathcode_assets.mixture.pile import mix
from mathcode_assets.mixture.plan import plan_mixture
from mathcode_assets.records import PILE_DOCUMENT
from mathcode_assets_tests.mixture.documents import clean_documents

LOCAL = fsspec.filesystem("file")
WEB = clean_documents([f"page {number:04d} " + "x" * (number % 7) for number in range(60)], source="web")
CODE = clean_documents(["import sympy"] * 8, source="code")
PILE = list(mix({"web": [WEB], "code": [CODE]}, plan_mixture({"web": 1, "code": 1})))
COUNT = ComponentCount(name="web", documents=60, tokens=1, size_bytes=1)
CARD = DataCard(components=[COUNT], tokenizer="t@0", licences={"MIT": 68})


def export(batches: Iterable[pa.RecordBatch], root: Path) -> list[ExportedFile]:
    return export_hub_dataset(
        batches, card=CARD, fs=LOCAL, root=str(root), shard_text_bytes=300, row_group_text_bytes=100
    )


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_layout_and_contents(tmp_path: Path) -> None:
    exported = export(PILE, tmp_path)
    assert list(files(tmp_path)) == [
        "README.md",
        "data/code/train-00000-of-00001.parquet",
        "data/web/train-00000-of-00003.parquet",
        "data/web/train-00001-of-00003.parquet",
        "data/web/train-00002-of-00003.parquet",
    ]
    assert {file.path: file.n_rows for file in exported}.keys() == files(tmp_path).keys() - {"README.md"}
    web = ds.dataset([str(tmp_path / file.path) for file in exported if "/web/" in file.path]).to_table()
    assert web.column_names == list(HUB_COLUMNS)
    assert web.column("text").to_pylist() == WEB.column("text").to_pylist()
    assert sum(file.n_rows for file in exported) == 68


def test_no_row_group_is_cut_short_or_runs_over(tmp_path: Path) -> None:
    export(PILE, tmp_path)
    sizes = []
    for path in sorted((tmp_path / "data" / "web").iterdir()):
        file = pq.ParquetFile(path)
        for number in range(file.num_row_groups):
            texts = file.read_row_group(number, columns=["text"]).column("text").to_pylist()
            sizes.append((sum(map(len, texts)), sum(map(len, texts[:-1]))))
    assert all(before_last < 100 for _, before_last in sizes)
    assert all(whole >= 100 for whole, _ in sizes[:-1])


@settings(deadline=None, max_examples=15)
@given(borders=st.lists(st.integers(1, 67), max_size=8))
def test_any_batching_gives_the_same_bytes(borders: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    one, other = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other")
    (whole,) = pa.Table.from_batches(PILE, PILE_DOCUMENT).combine_chunks().to_batches()
    cuts = [0, *sorted(borders), whole.num_rows]
    export(PILE, one)
    export((whole.slice(start, end - start) for start, end in itertools.pairwise(cuts)), other)
    assert files(one) == files(other)


def test_a_second_export_takes_the_place_of_the_first(tmp_path: Path) -> None:
    export(PILE, tmp_path)
    export(PILE[:1], tmp_path)
    smaller = files(tmp_path)
    export(PILE[:1], tmp_path)
    assert files(tmp_path) == smaller
    assert not any("code" in name for name in smaller)


def test_an_export_that_breaks_has_no_card_and_can_be_repeated(tmp_path: Path) -> None:
    def broken() -> Iterable[pa.RecordBatch]:
        yield PILE[0]
        raise OSError("the disk is full")

    export(PILE, tmp_path / "a")
    with pytest.raises(OSError, match="the disk is full"):
        export(broken(), tmp_path / "a")
    assert "README.md" not in files(tmp_path / "a")
    export(PILE, tmp_path / "a")
    export(PILE, tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_rows_of_a_component_must_be_together(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rows of web come in two places"):
        export([PILE[0], PILE[1], PILE[0]], tmp_path)


@pytest.mark.parametrize("name", ["../up", "", ".hidden"])
def test_a_component_that_is_no_folder_name_is_refused(name: str, tmp_path: Path) -> None:
    batches = mix({name: [CODE]}, plan_mixture({name: 1}))
    with pytest.raises(ValueError, match="no folder name"):
        export(batches, tmp_path)


def test_nothing_to_export_is_a_card_alone(tmp_path: Path) -> None:
    assert export([], tmp_path) == []
    assert list(files(tmp_path)) == ["README.md"]


def test_any_fsspec_file_system_will_do(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    export_hub_dataset(PILE, card=CARD, fs=memory, root="/bucket/pile")
    export_hub_dataset(PILE, card=CARD, fs=LOCAL, root=str(tmp_path))
    found = {path.removeprefix("/bucket/pile/"): memory.cat(path) for path in memory.find("/bucket/pile")}
    assert found == files(tmp_path)
