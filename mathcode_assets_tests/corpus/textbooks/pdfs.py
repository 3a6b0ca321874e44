"""PDF files written by hand, good and bad, for the tests of this folder."""

from __future__ import annotations


def pdf_bytes(pages: list[list[str]]) -> bytes:
    """A PDF of these pages, one string a line (Latin-1), in Helvetica."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    kids = []
    for lines in pages:
        drawn = b" T* ".join(b"(" + _escaped(line) + b") Tj" for line in lines)
        content = b"BT /F1 11 Tf 13 TL 60 780 Td " + drawn + b" ET"
        objects.append(_stream(content))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 842] "
            b"/Resources << /Font << /F1 3 0 R >> >> /Contents %d 0 R >>" % len(objects)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Kids [" + b" ".join(kids) + b"] /Count %d >>" % len(kids)
    return _assembled(objects, b"")


def encrypted_pdf_bytes() -> bytes:
    """A PDF that no password opens: its check values are of nobody's password."""
    pages = b"<< /Type /Pages /Kids [] /Count 0 >>"
    lock = b"<< /Filter /Standard /V 1 /R 2 /P -4 /O <" + b"ab" * 32 + b"> /U <" + b"cd" * 32 + b"> >>"
    trailer = b"/Encrypt 3 0 R /ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>]"
    return _assembled([b"<< /Type /Catalog /Pages 2 0 R >>", pages, lock], trailer)


def endless_pdf_bytes(levels: int = 10, copies: int = 10) -> bytes:
    """A PDF of two kilobytes whose one page draws ``copies ** levels`` words: a decompression bomb."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 842] "
        b"/Resources << /XObject << /X 6 0 R >> >> /Contents 5 0 R >>",
        _stream(b"/X Do"),
    ]
    for level in range(levels):
        inner = b"/X << /X %d 0 R >>" % (7 + level)
        form = b"/Type /XObject /Subtype /Form /BBox [0 0 612 842] /Resources << /XObject << " + inner[3:].strip(b"<> ")
        objects.append(_stream(b"/X Do " * copies, form + b" >> >>"))
    leaf = b"/Type /XObject /Subtype /Form /BBox [0 0 612 842] /Resources << /Font << /F1 3 0 R >> >>"
    objects.append(_stream(b"BT /F1 11 Tf 60 780 Td (again) Tj ET", leaf))
    return _assembled(objects, b"")


def _stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<< %b /Length %d >>\nstream\n%b\nendstream" % (entries, len(content), content)


def _escaped(line: str) -> bytes:
    return line.encode("latin-1").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")


def _assembled(objects: list[bytes], trailer: bytes) -> bytes:
    out = b"%PDF-1.4\n"
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return (
        out
        + b"xref\n0 %d\n0000000000 65535 f \n%b" % (size, table)
        + b"trailer\n<< /Size %d /Root 1 0 R %b >>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, len(out))
    )
