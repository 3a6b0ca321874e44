"""Tables mapped over processes: the bytes of one process, errors that name their rows, artifacts wherever they are."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from mathcode_assets.corpus.code_with_math_packages.tagging import CodeFilterConfig, tag_code
from mathcode_assets.corpus.textbooks.screening import ScreeningConfig, tag_textbooks
from mathcode_assets.deduplication.exact import CODE, PROSE
from mathcode_assets.deduplication.fingerprints import fingerprint_documents
from mathcode_assets.engine.local import LocalEngine
from mathcode_assets.engine.mapping import SerialEngine
from mathcode_assets.records import DOCUMENT, FILTER_ATTRIBUTES, FINGERPRINT
from mathcode_assets.storage.filesystem import Location, locate
from mathcode_assets.storage.lake import Lake, Table
from mathcode_assets.storage.manifest import Accounting, Recipe
from mathcode_assets.storage.mapped import Artifact, WithLoaded, map_rows, row_groups_of
from mathcode_assets_tests.documents import document_batches
from mathcode_assets_tests.storage import mapped_functions

N_ROWS = 20_000  # three row groups of at most 8,192
RECIPE = Recipe(code_version="1")


def _everything(n_rows: int) -> Accounting:
    return Accounting(n_in=n_rows, n_kept=n_rows)


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalEngine]:
    with LocalEngine(2) as engine:
        yield engine


@pytest.fixture(scope="module")
def texts() -> list[str]:
    lines = ["import sympy\n", "x = 12345\n", "Let ∑ x² be  finite.\n", "import  re\n# e\u0301 \n", "theorem lemma\n"]
    return [lines[n % 5] if n == 12_341 else lines[n % 5].replace("12345", str(n)) for n in range(N_ROWS)]


@pytest.fixture
def documents(lake: Lake, texts: list[str]) -> Table:
    table = lake.table("filtered/code", "shard-0")
    lake.publish(
        table, schema=DOCUMENT, recipe=RECIPE, batches=document_batches(texts, rows=700), accounting=_everything
    )
    assert [group.n_rows for group in row_groups_of(table)] == [8192, 8192, N_ROWS - 2 * 8192]
    return table


@pytest.fixture
def work(tmp_path: Path) -> Callable[[], object]:
    @contextmanager
    def folder() -> Iterator[Location]:
        (tmp_path / "work").mkdir()
        yield locate(tmp_path / "work")
        assert list((tmp_path / "work").iterdir()) == []  # each stream was taken
        (tmp_path / "work").rmdir()

    return folder


@pytest.mark.parametrize("lake", ["local"], indirect=True)
@pytest.mark.parametrize(
    ("function", "schema", "columns"),
    [
        (partial(tag_code, config=CodeFilterConfig()), FILTER_ATTRIBUTES, None),
        (partial(tag_textbooks, config=ScreeningConfig()), FILTER_ATTRIBUTES, None),
        (partial(fingerprint_documents, kind=PROSE), FINGERPRINT, ["doc_id", "text"]),
        (partial(fingerprint_documents, kind=CODE), FINGERPRINT, ["doc_id", "text"]),
    ],
    ids=["code", "textbooks", "prose", "programs"],
)
def test_published_bytes_are_those_of_one_process(
    documents: Table, lake: Lake, pool: LocalEngine, work: Callable[[], object], function: partial, schema, columns
) -> None:
    for name, engine in (("serial", SerialEngine()), ("local", pool)):
        found = map_rows(documents, function, columns=columns, engine=engine, work=work)
        lake.publish(
            lake.table(f"attributes/{name}"), schema=schema, recipe=RECIPE, batches=found, accounting=_everything
        )
    serial, local = (lake.table(f"attributes/{name}").manifest() for name in ("serial", "local"))
    assert serial.n_rows == N_ROWS
    assert [(f.name, f.sha256) for f in serial.files] == [(f.name, f.sha256) for f in local.files]


@pytest.mark.parametrize("lake", ["local", "memory"], indirect=True)
def test_batches_are_those_of_one_process(documents: Table, pool: LocalEngine, work: Callable[[], object]) -> None:
    def sizes(engine: LocalEngine | SerialEngine) -> list[int]:
        kind = partial(fingerprint_documents, kind=CODE)
        columns = ["doc_id", "text"]
        return [b.num_rows for b in map_rows(documents, kind, columns=columns, engine=engine, work=work)]

    assert sizes(pool) == sizes(SerialEngine())


@pytest.mark.parametrize("lake", ["local"], indirect=True)
def test_an_error_names_the_file_and_the_rows(documents: Table, pool: LocalEngine, tmp_path: Path) -> None:
    @contextmanager
    def work() -> Iterator[Location]:
        (tmp_path / "left").mkdir()
        yield locate(tmp_path / "left")

    with pytest.raises(ValueError, match="the text of this row is refused") as refused:
        list(map_rows(documents, mapped_functions.refuse_row, columns=None, engine=pool, work=work))
    first, second = refused.value.__notes__
    assert first.startswith("at rows 12288..12799 of ") and first.endswith(".parquet")
    assert second.startswith("while working on ") and second.endswith(", rows 8192..16383")


@pytest.mark.parametrize("lake", ["local", "s3"], indirect=True)
def test_a_worker_opens_the_copy_it_sees_or_fetches_its_own(
    documents: Table, lake: Lake, pool: LocalEngine, work: Callable[[], object], tmp_path: Path
) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "words.txt").write_text("lemma proof axiom")
    table = lake.table("promoted/words")
    lake.publish_folder(
        table, folder=tmp_path / "made", recipe=RECIPE, accounting=Accounting(n_in=1, n_kept=1), facts={}
    )
    version = table.manifest().data_version

    def words(folder: Path) -> list[str]:
        artifact = Artifact(lake=lake, table=table, version=version, folder=folder)
        function = WithLoaded(function=mapped_functions.with_words, load=mapped_functions.words_in, artifact=artifact)
        found = map_rows(documents, function, columns=["doc_id", "text"], engine=pool, work=work)
        return [word for batch in found for word in batch.column("word").to_pylist()]

    here = lake.fetch_folder(table, tmp_path / "here")
    expected = words(here)
    assert set(expected) == {"lemma", "proof", "axiom"} and len(expected) == N_ROWS
    shutil.rmtree(here)
    shutil.rmtree(tmp_path / "made")
    assert words(here) == expected
    stale = Artifact(lake=lake, table=table, version="0" * 32, folder=tmp_path / "nowhere")
    with pytest.raises(RuntimeError, match="published again"):
        stale.open()
