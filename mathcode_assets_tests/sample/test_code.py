"""The embedded sample's code, textbooks and synthetic sets are what their sources and manifest say."""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pypdfium2 as pdfium
import pytest
import yaml
import zstandard

from mathcode_assets.sample import build_code

DATA = build_code.DATA
MANIFEST: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (build_code.SOURCE_TEXT / "manifest_code.yaml").read_text(encoding="utf-8")
)
FOLDERS = ("starcoder", "synthetic", "leaky", "textbooks")
MAX_BYTES = 600_000  # all of it travels in the wheel
# Rows and their order do not depend on the versions of the writers, bytes do.
SAME_WRITERS = {
    "pyarrow": pa.__version__,
    "zstd": ".".join(map(str, zstandard.ZSTD_VERSION)),
} == build_code.BUILT_WITH


def files_under(folder: Path) -> dict[str, Path]:
    return {
        path.relative_to(folder).as_posix(): path
        for top in FOLDERS
        for path in sorted((folder / top).rglob("*"))
        if path.is_file()
    }


def rows_of(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    stream = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(path.read_bytes()))
    return [json.loads(line) for line in stream.read().decode().split("\n") if line]


def row_id(row: dict[str, Any]) -> Any:
    return next(row[key] for key in ("max_stars_repo_path", "path", "idx", "id") if key in row)


def planted(file: str, identity: Any) -> dict[str, Any]:
    return next(row for row in rows_of(DATA / file) if row_id(row) == identity)


def text_of(row: dict[str, Any]) -> str:
    return row["content"] if "content" in row else row["text"]


def shingles(text: str, n: int = 5) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def jaccard(a: set[Any], b: set[Any]) -> float:
    return len(a & b) / len(a | b)


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    build_code.build(folder)
    return folder


def test_building_again_gives_the_committed_files(rebuilt: Path) -> None:
    committed, fresh = files_under(DATA), files_under(rebuilt)
    assert fresh.keys() == committed.keys()
    for name, path in fresh.items():
        if SAME_WRITERS or path.suffix == ".pdf":
            assert path.read_bytes() == committed[name].read_bytes(), name
        else:
            assert rows_of(path) == rows_of(committed[name]), name


def test_building_twice_gives_the_same_bytes(rebuilt: Path, tmp_path: Path) -> None:
    build_code.build(tmp_path)
    again = files_under(tmp_path)
    for name, path in files_under(rebuilt).items():
        assert again[name].read_bytes() == path.read_bytes(), name


def test_building_in_place_leaves_pdfs_alone(tmp_path: Path) -> None:
    build_code.copy_pdfs(DATA / "textbooks")
    build_code.copy_pdfs(tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {
        p.name: p.read_bytes() for p in (DATA / "textbooks").iterdir()
    }


def test_it_all_fits_in_the_wheel() -> None:
    assert sum(path.stat().st_size for path in files_under(DATA).values()) < MAX_BYTES


@pytest.mark.parametrize(
    ("file", "n_rows"),
    [
        ("synthetic/maths_college.0000.jsonl.zst", 22),
        ("synthetic/education_college.0000.jsonl.zst", 12),
        ("synthetic/book_math.0000.jsonl.zst", 6),
        ("leaky/education_college.leaky.jsonl.zst", 10),
    ],
)
def test_synthetic_sets_have_their_schema(file: str, n_rows: int) -> None:
    rows = rows_of(DATA / file)
    assert len(rows) == n_rows
    expected = {"id": str, "text": str} if "book_math" in file else {"idx": int, "model": str, "text": str}
    for row in rows:
        assert {key: type(value) for key, value in row.items()} == expected
        assert row["text"].strip() == row["text"] != ""
    assert len({row_id(row) for row in rows}) == n_rows


def test_there_are_thirty_code_files_all_in_the_manifest() -> None:
    rows = {
        (f"starcoder/{path.relative_to(DATA / 'starcoder').as_posix()}", row_id(row))
        for path in (DATA / "starcoder").rglob("*.parquet")
        for row in rows_of(path)
    }
    assert len(rows) == 30
    assert rows == {(entry["file"], entry["id"]) for entry in MANIFEST["code_imports"]}


@pytest.mark.parametrize(
    ("subset", "schema"),
    [
        ("python", build_code.PYTHON_SCHEMA),
        ("jupyter-scripts-dedup-filtered", build_code.JUPYTER_SCRIPTS_SCHEMA),
        ("jupyter-structured-clean-dedup", build_code.JUPYTER_STRUCTURED_SCHEMA),
    ],
)
def test_code_columns_are_consistent(subset: str, schema: pa.Schema) -> None:
    numbers = []
    for path in sorted((DATA / "starcoder" / subset).iterdir()):
        assert pq.read_schema(path).equals(schema)
        for row in rows_of(path):
            numbers.append(int(row["id"]))
            assert row.get("size", len(row["content"].encode())) == len(row["content"].encode())
    assert numbers == list(range(len(numbers)))


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("subset", "schema"),
    [
        ("python", build_code.PYTHON_SCHEMA),
        ("jupyter-scripts-dedup-filtered", build_code.JUPYTER_SCRIPTS_SCHEMA),
        ("jupyter-structured-clean-dedup", build_code.JUPYTER_STRUCTURED_SCHEMA),
    ],
)
def test_code_schemas_are_those_of_real_data(shared_data: Path, subset: str, schema: pa.Schema) -> None:
    real = next(iter(sorted((shared_data / "starcoder" / subset).glob("*.parquet"))))
    assert pq.read_schema(real).equals(schema, check_metadata=False)


def imported_packages(source: str) -> set[str]:
    """Top-level packages that a file imports absolutely, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.split(".")[0])
    return found & {"sympy", "fractions", "cmath", "scipy", "statistics"}


def as_python(row: dict[str, Any]) -> str:
    """The code of a row without what only a notebook or StarCoder understands."""
    lines = row["content"].split("\n")
    if "license" in row:
        cells = row["content"].split("<jupyter_code>")[1:]
        lines = "\n".join(cell.split("<jupyter_output>")[0] for cell in cells).split("\n")
    return "\n".join(line for line in lines if not line.startswith(("%", "!", "<filename>")))


@pytest.mark.parametrize("entry", MANIFEST["code_imports"], ids=lambda entry: entry["id"])
def test_code_imports_what_the_manifest_says(entry: dict[str, Any]) -> None:
    row = planted(entry["file"], entry["id"])
    if row.get("lang", "python").lower() != "python":
        assert entry["expected"] == "dropped"
    elif entry["kind"] == "Python 2":
        with pytest.raises(SyntaxError):
            ast.parse(row["content"])
        assert "\nfrom fractions import" in row["content"]
    else:
        assert imported_packages(as_python(row)) == set(entry["detail"])
        assert entry["expected"] == ("kept" if entry["detail"] else "dropped")


@pytest.mark.parametrize("entry", MANIFEST["duplicates"], ids=lambda entry: str(entry["id"]))
def test_planted_duplicates(entry: dict[str, Any]) -> None:
    text = text_of(planted(entry["file"], entry["id"]))
    twin = text_of(planted(**{"file": entry["detail"]["file"], "identity": entry["detail"]["id"]}))
    if entry["kind"] == "exact":
        assert text == twin
    else:
        assert text != twin
        assert jaccard(shingles(text), shingles(twin)) > 0.8


def test_no_duplicates_but_the_planted_ones() -> None:
    texts = [text_of(row) for path in files_under(DATA).values() if path.suffix != ".pdf" for row in rows_of(path)]
    shingled = [shingles(text) for text in texts]
    close = [
        (texts[i][:40], texts[j][:40])
        for i in range(len(texts))
        for j in range(i)
        if jaccard(shingled[i], shingled[j]) > 0.3
    ]
    assert len(close) == len(MANIFEST["duplicates"]), close


def benchmark_question(detail: dict[str, Any]) -> str:
    path = DATA / "benchmarks" / f"{detail['benchmark']}.jsonl"
    items = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return next(item["question"] for item in items if item["idx"] == detail["idx"])


@pytest.mark.parametrize("entry", MANIFEST["contamination"], ids=lambda e: f"{Path(e['file']).name}-{e['id']}")
def test_planted_contamination(entry: dict[str, Any]) -> None:
    question = benchmark_question(entry["detail"])
    text = planted(entry["file"], entry["id"])["text"]
    if entry["expected"] == "contaminated":
        assert question in text
    else:
        assert question not in text
        assert without_numbers(question) in without_numbers(text)


def without_numbers(text: str) -> str:
    return "".join("#" if c.isdigit() else c for c in text)


def test_the_leaky_shard_passes_every_rule_but_decontamination() -> None:
    rows = rows_of(DATA / "leaky/education_college.leaky.jsonl.zst")
    assert all(row["text"].count("$") > 10 for row in rows)
    assert len([entry for entry in MANIFEST["contamination"] if entry["file"].startswith("leaky/")]) == 6


def test_half_of_education_college_has_more_than_ten_dollar_signs() -> None:
    rows = rows_of(DATA / "synthetic/education_college.0000.jsonl.zst")
    few = {row["idx"] for row in rows if row["text"].count("$") <= 10}
    named = {
        entry["id"]
        for entry in MANIFEST["synthetic_rules"]
        if "education_college" in entry["file"] and "price list" not in entry["kind"]
    }
    assert few == named
    assert len(few) == 6


def pdf_pages(path: Path) -> list[str]:
    document = pdfium.PdfDocument(path)
    try:
        return [document[i].get_textpage().get_text_range() for i in range(len(document))]
    finally:
        document.close()


@pytest.mark.parametrize("entry", MANIFEST["textbooks"], ids=lambda entry: entry["id"])
def test_textbooks_can_be_read_or_not_as_the_manifest_says(entry: dict[str, Any]) -> None:
    path = DATA / "textbooks" / entry["id"]
    if entry["expected"] == "damaged":
        with pytest.raises(pdfium.PdfiumError):
            pdf_pages(path)
        return
    pages = pdf_pages(path)
    assert 2 <= len(pages) <= 4
    assert all(len(page) > 300 for page in pages)
    title_words = {word for word in Path(entry["id"]).stem.split("-") if len(word) > 3}
    assert title_words <= set(pages[0].lower().replace(":", " ").split())
    is_mathematical = sum(c in "=≡∑≤≥√−∫ξπ" for c in "".join(pages)) > 50
    assert is_mathematical == (entry["expected"] != "not_math")


def test_the_two_editions_are_editions_by_the_papers_measure() -> None:
    entry = next(entry for entry in MANIFEST["textbooks"] if entry["expected"] == "duplicate")
    names = [entry["id"], entry["detail"]["twin"]]
    words = [set(Path(name).stem.split("-")) for name in names]
    texts = [set("\n".join(pdf_pages(DATA / "textbooks" / name)).split()) for name in names]
    # MathCoder2: file-name word Jaccard above 0.4 and text word Jaccard above 0.6.
    assert jaccard(*words) > 0.4
    assert jaccard(*texts) > 0.6
    assert len(texts[0]) < len(texts[1])


def test_every_pdf_but_the_damaged_one_has_its_latex() -> None:
    sources = {path.stem for path in (build_code.SOURCE_TEXT / "textbooks").glob("*.tex")}
    pdfs = {path.stem for path in (DATA / "textbooks").glob("*.pdf")}
    assert pdfs - sources == {Path(build_code.DAMAGED_PDF[0]).stem}
    assert sources <= pdfs


def test_pdfs_hold_no_date_and_no_path() -> None:
    for path in (DATA / "textbooks").glob("*.pdf"):
        content = path.read_bytes()
        for word in (b"CreationDate", b"ModDate", b"PTEX.Fullbanner", b"/tmp/"):
            assert word not in content, (path.name, word)


def test_structured_notebook_marks_empty_outputs_and_counts_cells() -> None:
    source = "<jupyter_text>\n# Title\n<jupyter_code>\nx = 1\n<jupyter_output>\n"
    source += "<jupyter_code>\nx\n<jupyter_output>\n1\n"
    content, n_cells = build_code.structured_notebook(source)
    assert content == (
        "<jupyter_start><jupyter_text># Title<jupyter_code>x = 1<jupyter_output><empty_output>"
        "<jupyter_code>x<jupyter_output>1"
    )
    assert n_cells == 3
