"""PDF text: our killable worker with clean-up, beside bare pypdfium2 and (where installed) pdftotext.

    PYTHONPATH=. python benchmarks/textbooks.py [--data ../shared/data] [--rounds 3]

CPU time of this process and its children, medians; every method reads every PDF that has pages. Then the
status of every file beside the one its manifest expects.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path

import pypdfium2

from mathcode_assets.corpus.textbooks.extraction import PdfReader
from mathcode_assets.corpus.textbooks.reading import PdfFile, pdf_files, screen_folder

Counted = tuple[int, int]  # pages read, characters of text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("MATHCODE_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    folder = arguments.data / "textbooks"
    files = pdf_files(folder / "pdf")
    methods: dict[str, Callable[[list[PdfFile]], Counted]] = {
        "ours: text and clean-up": ours,
        "ours: whole screening": screened,
        "bare pypdfium2": bare_pypdfium2,
    }
    if shutil.which("pdftotext"):
        methods["pdftotext (poppler)"] = pdftotext
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    counted: dict[str, Counted] = {}
    for _ in range(arguments.rounds):
        for name, method in methods.items():
            start = cpu_seconds()
            counted[name] = method(files)
            seconds[name].append(cpu_seconds() - start)
    base = statistics.median(seconds["ours: text and clean-up"])
    print("| method | pages | characters | pages/CPU-s | CPU time, ours = 1 |\n|---|---|---|---|---|")
    for name in methods:
        median, (pages, characters) = statistics.median(seconds[name]), counted[name]
        print(f"| {name} | {pages} | {characters} | {pages / median:.0f} | {median / base:.2f} |")
    print_statuses(files, folder / "manifest.json")


def print_statuses(files: list[PdfFile], manifest: Path) -> None:
    expected = {Path(entry["file"]).name: entry["expected_status"] for entry in json.loads(manifest.read_text())}
    print("\n| file | status | expected | share of mathematical windows | pages |\n|---|---|---|---|---|")
    for row in screen_folder(files):
        share = "" if row["math_share"] is None else f"{row['math_share']:.2f}"
        print(f"| {row['file']} | {row['status']} | {expected.get(row['file'])} | {share} | {row['n_pages']} |")


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def ours(files: list[PdfFile]) -> Counted:
    with PdfReader() as reader:
        texts = [reader.extract(path) for path, _ in files]
    return sum(pdf.n_pages for pdf in texts), sum(len(pdf.text) for pdf in texts)


def screened(files: list[PdfFile]) -> Counted:
    sizes = [(row["n_pages"], len(row["text"])) for row in screen_folder(files)]
    return sum(pages for pages, _ in sizes), sum(characters for _, characters in sizes)


def bare_pypdfium2(files: list[PdfFile]) -> Counted:
    pages = characters = 0
    for path, _ in files:
        try:
            document = pypdfium2.PdfDocument(path)
        except pypdfium2.PdfiumError:
            continue
        for page in document:
            textpage = page.get_textpage()
            characters += len(textpage.get_text_range())
            textpage.close()
            page.close()
            pages += 1
        document.close()
    return pages, characters


def pdftotext(files: list[PdfFile]) -> Counted:
    pages = characters = 0
    for path, _ in files:
        done = subprocess.run(["pdftotext", str(path), "-"], capture_output=True, check=False)
        text = done.stdout.decode(errors="replace")
        pages += text.count("\f")
        characters += len(text)
    return pages, characters


if __name__ == "__main__":
    main()
