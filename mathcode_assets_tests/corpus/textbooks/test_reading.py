"""A folder of PDFs from end to end: as documents with a quarantine, and as the command's rows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from mathcode_assets.corpus.textbooks.reading import pdf_files, read_pdfs, screen_folder
from mathcode_assets.records import DOCUMENT, check_batch
from mathcode_assets_tests.corpus.textbooks.pdfs import encrypted_pdf_bytes, pdf_bytes

THEOREM = [
    f"Theorem {n}. Every finite abelian group of order {n} has a subgroup of each order dividing {n}." for n in range(9)
]
RECIPE = [
    f"Step {n}. Stir the onions until they are golden, then add {n} spoons of stock and some salt." for n in range(9)
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "algebra.pdf": pdf_bytes([THEOREM]),
        "copy/of algebra.PDF": pdf_bytes([THEOREM]),
        "cut.pdf": pdf_bytes([THEOREM])[:500],
        "locked.pdf": encrypted_pdf_bytes(),
        "recipes.pdf": pdf_bytes([RECIPE]),
        "scan.pdf": pdf_bytes([[], []]),
        "notes.txt": b"not asked for",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_every_file_gets_its_status(folder):
    rows = list(screen_folder(pdf_files(folder)))
    assert {row["file"]: row["status"] for row in rows} == {
        "algebra.pdf": "kept",
        "copy/of algebra.PDF": "duplicate",
        "cut.pdf": "damaged",
        "locked.pdf": "encrypted",
        "recipes.pdf": "not_math",
        "scan.pdf": "no_text",
    }
    by_file = {row["file"]: row for row in rows}
    assert [row["file"] for row in rows] == sorted(by_file)
    assert by_file["copy/of algebra.PDF"]["duplicate_of"] == by_file["algebra.pdf"]["id"]
    assert {row["duplicate_of"] for name, row in by_file.items() if not name.startswith("copy")} == {None}
    assert by_file["algebra.pdf"]["text"].startswith("Theorem 0. Every finite")
    assert (by_file["scan.pdf"]["n_pages"], by_file["scan.pdf"]["text"]) == (2, "")


def test_documents_and_quarantine(folder):
    quarantined = []
    batches = list(read_pdfs(pdf_files(folder), quarantine=lambda *record: quarantined.append(record)))
    for batch in batches:
        check_batch(batch, DOCUMENT)
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert [row["source_id"] for row in rows] == ["algebra.pdf", "copy/of algebra.PDF", "recipes.pdf"]
    assert [record[:3] for record in quarantined] == [
        ("cut.pdf", 0, "damaged"),
        ("locked.pdf", 0, "encrypted"),
        ("scan.pdf", 0, "no_text"),
    ]
    assert json.loads(rows[0]["source_metadata"]) == {"detail": "", "n_pages": 1}
    assert rows[0]["source_revision"] == hashlib.sha256((folder / "algebra.pdf").read_bytes()).hexdigest()


def test_a_doc_id_is_of_source_name_and_text(folder):
    row = next(read_pdfs(pdf_files(folder), quarantine=lambda *_: None)).to_pylist()[0]
    parts = [part.encode() for part in ("textbooks", "algebra.pdf", row["text"])]
    digest = hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts))
    assert row["doc_id"] == digest.hexdigest()[:32]


def test_an_empty_folder(tmp_path):
    assert list(screen_folder(pdf_files(tmp_path))) == []


@pytest.mark.shared_data
def test_real_textbooks_get_the_status_they_should(shared_data):
    manifest = json.loads((shared_data / "textbooks" / "manifest.json").read_text())
    expected = {Path(entry["file"]).name: entry for entry in manifest}
    rows = {row["file"]: row for row in screen_folder(pdf_files(shared_data / "textbooks" / "pdf"))}
    assert rows.keys() == expected.keys()
    for name, entry in expected.items():
        allowed = entry["expected_status"].split(" (")[0].split(" or ")
        if "duplicate_of" in entry:  # of the pair, either: this one or its partner, and not both
            partner = Path(entry["duplicate_of"]).name
            assert sorted([rows[name]["status"], rows[partner]["status"]]) == ["duplicate", "kept"]
        elif not any("duplicate_of" in other and Path(other["duplicate_of"]).name == name for other in manifest):
            assert rows[name]["status"] in allowed, name
