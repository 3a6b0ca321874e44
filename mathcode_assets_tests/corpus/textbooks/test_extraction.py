"""PDFs, good and bad, through the real worker process."""

from __future__ import annotations

import os

import pytest

from mathcode_assets.corpus.textbooks.extraction import ExtractionConfig, PdfReader, extract_pdf
from mathcode_assets_tests.corpus.textbooks.pdfs import encrypted_pdf_bytes, endless_pdf_bytes, pdf_bytes

PROSE = [
    "A group is a set with an associative operation, a neutral element, and an",
    "inverse for each of its members. The integers with addition are a group, and",
    "so are the rotations of a square. A subgroup is a part of a group that is a",
    "group by itself; by the theorem of Lagrange, its order divides that of the group.",
]
GOOD = pdf_bytes([PROSE, [line.replace("group", "ring") for line in PROSE]])


@pytest.fixture
def put(tmp_path):
    def write(content: bytes, name: str = "book.pdf"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def test_the_text_of_a_good_file(put):
    pdf = extract_pdf(put(GOOD))
    assert (pdf.status, pdf.n_pages, pdf.detail) == ("ok", 2, "")
    assert pdf.text.startswith(
        "A group is a set with an associative operation, a neutral element, and an inverse for each"
    )


def test_the_same_file_gives_the_same_text(put):
    path = put(GOOD)
    assert extract_pdf(path) == extract_pdf(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "header"),
        (b"<html><body>" + b"Not found. " * 100 + b"</body></html>", "header"),
        (b"\x00" * 2000 + GOOD, "header"),
        (GOOD[: len(GOOD) // 2], "PDFium"),
        (b"%PDF-1.4\n%%EOF\n", "PDFium"),
        (pdf_bytes([]), "page"),
    ],
    ids=["empty", "html", "late header", "cut", "header only", "no page"],
)
def test_a_damaged_file_is_said_to_be(put, content, says):
    pdf = extract_pdf(put(content))
    assert (pdf.status, pdf.text) == ("damaged", "")
    assert says in pdf.detail


def test_a_missing_file_is_damaged(tmp_path):
    pdf = extract_pdf(tmp_path / "gone.pdf")
    assert (pdf.status, pdf.detail) == ("damaged", "cannot be read: No such file or directory")


def test_an_encrypted_file_is_said_to_be(put):
    assert extract_pdf(put(encrypted_pdf_bytes())).status == "encrypted"


def test_too_little_text_is_no_text_but_shown(put):
    pdf = extract_pdf(put(pdf_bytes([["A page with a caption."], []])))
    assert (pdf.status, pdf.text, pdf.n_pages) == ("no_text", "A page with a caption.", 2)
    assert pdf.detail == "22 characters of text on 2 pages"


def test_junk_before_the_header_is_allowed(put):
    assert extract_pdf(put(b"\r\n" * 20 + GOOD)).status == "ok"


def test_a_file_without_end_is_given_up_and_the_next_is_read(put):
    bomb, good = put(endless_pdf_bytes(), "bomb.pdf"), put(GOOD, "good.pdf")
    with PdfReader(ExtractionConfig(time_limit_s=2.0, memory_limit_bytes=8 << 30)) as reader:
        assert reader.extract(bomb).detail == "not read within 2 s after 0 pages"
        assert reader.extract(good).status == "ok"


def test_a_crash_for_memory_is_damage_and_the_next_is_read(put):
    bomb, good = put(endless_pdf_bytes(), "bomb.pdf"), put(GOOD, "good.pdf")
    with PdfReader(ExtractionConfig(memory_limit_bytes=256 << 20)) as reader:
        pdf = reader.extract(bomb)
        assert pdf.status == "damaged"
        assert "the PDF library ended with" in pdf.detail
        assert reader.extract(good).status == "ok"


def test_more_text_than_allowed_is_damage(put):
    pdf = extract_pdf(put(pdf_bytes([["x" * 1000] * 50] * 50)), ExtractionConfig(max_text_bytes=1 << 20))
    assert (pdf.status, pdf.detail) == ("damaged", "more than 1 MiB of text after 20 pages")


def test_a_file_that_reads_at_all_levels(put):
    assert extract_pdf(put(endless_pdf_bytes(levels=2, copies=2)), ExtractionConfig(min_text_chars=1)).text == "again"


def test_a_reader_leaves_no_process(put):
    reader = PdfReader()
    reader.extract(put(GOOD))
    process = reader._process.pid
    reader.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_name_of_any_bytes(put):
    assert extract_pdf(put(GOOD, "Bücher über\n\udcff.pdf")).status == "ok"
