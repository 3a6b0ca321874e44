"""The text of a PDF, page by page, or an honest word on why there is none.

Extraction runs in a process of its own (`textbooks.worker`), which is ended when a file takes too long,
too much memory, or crashes it; the file is then ``damaged`` and the next one gets a new process.

PDFium (BSD/Apache) gives the characters in drawing order. **Formulas are not recovered**: a fraction
arrives as its parts on lines of their own. No CPU tool that we know of gives usable LaTeX from a PDF;
the paper used Nougat on GPUs. So this component has the words of the books, and of their mathematics
what can be written in a line.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from mathcode_assets.corpus.textbooks.cleanup import clean_pages
from mathcode_assets.corpus.textbooks.worker import END, FAILED_PAGE, FRAME, PAGE

OK = "ok"
DAMAGED = "damaged"
ENCRYPTED = "encrypted"
NO_TEXT = "no_text"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionConfig:
    """Limits on one PDF, and what counts as text."""

    # MathCoder2 §2.1: extracted text longer than 300 characters. Counted after clean-up, so that page
    # numbers and running heads of a scanned book do not make it a text.
    min_text_chars: int = 300
    # 1,000 pages a second on one core here; a book that takes five minutes is not being read.
    time_limit_s: float = 300.0
    # Address space of the process. All of 2,086 pages here are read within 0.16 GiB.
    memory_limit_bytes: int = 1 << 30
    # Forty times the longest book here. Decompression bombs have no natural end, and are cleaned in memory.
    max_text_bytes: int = 32 << 20
    # A tenth of the pages unreadable: the file was cut or overwritten, and the text has holes.
    max_failed_page_share: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class PdfText:
    """What came out of one PDF."""

    status: str  # ok, damaged, encrypted or no_text
    text: str  # cleaned; empty unless ok or no_text
    n_pages: int  # as the file says; 0 where it could not be opened
    detail: str  # in words, what went wrong; may be non-empty when ok (unreadable pages)


class _Crashed(Exception):
    """The worker ended, or had to be ended, in the middle of a file."""


class PdfReader:
    """Extracts one PDF after another with a killable process. A context manager; not thread-safe."""

    def __init__(self, config: ExtractionConfig | None = None) -> None:
        self._config = config or ExtractionConfig()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, at once."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def extract(self, path: Path) -> PdfText:
        """The cleaned text of one PDF. Does not raise for anything a file may hold."""
        pages: list[str] = []
        try:
            status, n_pages, detail = self._converse(path, pages)
        except _Crashed as error:
            return PdfText(status=DAMAGED, text="", n_pages=0, detail=f"{error} after {len(pages)} pages")
        except BaseException:
            self.close()  # an interrupted conversation cannot be taken up again
            raise
        if status != OK:
            return PdfText(status=status, text="", n_pages=n_pages, detail=detail)
        failed = n_pages - len(pages)
        detail = f"{failed} of {n_pages} pages unreadable" if failed else ""
        if failed > self._config.max_failed_page_share * n_pages:
            return PdfText(status=DAMAGED, text="", n_pages=n_pages, detail=detail)
        text = clean_pages(pages)
        if len(text) <= self._config.min_text_chars:
            detail = f"{len(text)} characters of text on {n_pages} pages" + (f"; {detail}" if detail else "")
            return PdfText(status=NO_TEXT, text=text, n_pages=n_pages, detail=detail)
        return PdfText(status=OK, text=text, n_pages=n_pages, detail=detail)

    def _converse(self, path: Path, pages: list[str]) -> tuple[str, int, str]:
        """Ask for one file, append its readable pages, return what the worker says at the end."""
        process = self._started()
        deadline = time.monotonic() + self._config.time_limit_s
        request = json.dumps({"path": os.fspath(path.resolve())}) + "\n"
        try:
            process.stdin.write(request.encode())
            process.stdin.flush()
        except BrokenPipeError:
            raise self._crashed("") from None
        budget = self._config.max_text_bytes
        while True:
            kind, payload = self._frame(deadline)
            if kind == END:
                end = json.loads(payload)
                return end["status"], end["n_pages"], end["detail"]
            budget -= len(payload)
            if budget < 0:
                raise self._crashed(f"more than {self._config.max_text_bytes >> 20} MiB of text")
            if kind == PAGE:
                pages.append(payload.decode())
            elif kind != FAILED_PAGE:
                raise self._crashed("unreadable answer of the PDF process")

    def _frame(self, deadline: float) -> tuple[bytes, bytes]:
        kind, length = FRAME.unpack(self._read(FRAME.size, deadline))
        if kind != END and length > self._config.max_text_bytes:
            raise self._crashed(f"more than {self._config.max_text_bytes >> 20} MiB of text")
        return kind, self._read(length, deadline)

    def _read(self, n_bytes: int, deadline: float) -> bytes:
        """Exactly so many bytes of the answer."""
        descriptor = self._process.stdout.fileno()
        parts: list[bytes] = []
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while n_bytes:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise self._crashed(f"not read within {self._config.time_limit_s:g} s")
                part = os.read(descriptor, min(n_bytes, 1 << 20))
                if not part:
                    raise self._crashed("")
                parts.append(part)
                n_bytes -= len(part)
        return b"".join(parts)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            # The worker must import what this process imports, however its path came about.
            path = os.pathsep.join(entry or os.curdir for entry in sys.path)
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "mathcode_assets.corpus.textbooks.worker",
                    str(self._config.memory_limit_bytes),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path},
            )
        return self._process

    def _crashed(self, reason: str) -> _Crashed:
        """End the worker; without a reason of ours, say how it ended by itself."""
        process = self._process
        if reason:
            process.kill()
        code = process.wait()
        self.close()
        if reason:
            return _Crashed(reason)
        ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return _Crashed(f"the PDF library ended with {ended}")


def extract_pdf(path: Path, config: ExtractionConfig | None = None) -> PdfText:
    """The cleaned text of one PDF, extracted in a process of its own (0.1 s to start it)."""
    with PdfReader(config) as reader:
        return reader.extract(path)
