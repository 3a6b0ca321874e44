"""The process that opens one PDF after another, so that a bad one can be killed.

Run as ``python -m mathcode_assets.corpus.textbooks.worker MEMORY_BYTES``. One JSON line a request on
standard input, ``{"path": ...}``; the answer is a run of frames on standard output, each a kind byte, a
4-byte big-endian length and that many bytes:

- ``P`` the text of the next page (UTF-8);
- ``F`` the next page could not be read: why;
- ``E`` the end: JSON ``{"status", "n_pages", "detail"}``, status ok, damaged or encrypted.

PDFium is C++ reading files from anywhere: it may crash, loop, or ask for all the memory there is.
The address space is limited here; time and the size of the text are limited by the parent, which ends
the process. A parent that is gone is noticed within a second, even while PDFium is busy.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

import pypdfium2
import pypdfium2.raw

FRAME = struct.Struct(">cI")
PAGE, FAILED_PAGE, END = b"P", b"F", b"E"

# ISO 32000-1 annex H: readers accept the header within the first 1,024 bytes. Other libraries open an
# HTML page called .pdf as a document; a file without this header is no PDF, whatever its name.
_HEADER = b"%PDF-"
_HEADER_BYTES = 1024

_NO_PAGE = "no page can be found"

# A page count is whatever the file claims. After so many unreadable pages in a row the rest is not tried.
_MAX_FAILURES_IN_A_ROW = 200


def main() -> None:
    """Answer requests until standard input ends."""
    memory = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_leave_with_parent, args=(os.getppid(),), daemon=True).start()
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not mix with the frames
    for line in sys.stdin.buffer:
        status, n_pages, detail = _extract(Path(json.loads(line)["path"]), out)
        end = json.dumps({"status": status, "n_pages": n_pages, "detail": detail})
        _send(out, END, end)
        out.flush()


def _extract(path: Path, out: BinaryIO) -> tuple[str, int, str]:
    """Send every page's text; return status, number of pages, and what went wrong in words."""
    try:
        with path.open("rb") as file:
            if _HEADER not in file.read(_HEADER_BYTES):
                return "damaged", 0, "no %PDF- header in the first 1,024 bytes: not a PDF file"
        document = pypdfium2.PdfDocument(path)
    except OSError as error:
        return "damaged", 0, f"cannot be read: {error.strerror}"
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == pypdfium2.raw.FPDF_ERR_PASSWORD:
            return "encrypted", 0, "needs a password"
        # PDFium refuses a document without a page, and then reports success as the error.
        success = getattr(error, "err_code", None) == pypdfium2.raw.FPDF_ERR_SUCCESS
        return "damaged", 0, _NO_PAGE if success else str(error)
    try:
        n_pages = len(document)
        if n_pages == 0:
            return "damaged", 0, _NO_PAGE
        failures = 0
        for number in range(n_pages):
            kind, text = _page_text(document, number)
            _send(out, kind, text)
            failures = failures + 1 if kind == FAILED_PAGE else 0
            if failures >= _MAX_FAILURES_IN_A_ROW:
                return "damaged", n_pages, f"{failures} unreadable pages in a row"
        return "ok", n_pages, ""
    finally:
        document.close()


def _page_text(document: pypdfium2.PdfDocument, number: int) -> tuple[bytes, str]:
    try:
        page = document[number]
        try:
            textpage = page.get_textpage()
            try:
                return PAGE, textpage.get_text_range(errors="replace")
            finally:
                textpage.close()
        finally:
            page.close()
    except pypdfium2.PdfiumError as error:
        return FAILED_PAGE, f"page {number + 1}: {error}"


def _send(out: BinaryIO, kind: bytes, text: str) -> None:
    payload = text.encode("utf-8", errors="replace")
    out.write(FRAME.pack(kind, len(payload)) + payload)


def _leave_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    main()
