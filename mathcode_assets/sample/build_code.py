"""Builds the sample's code, textbooks and synthetic sets from their readable sources.

``source_text/`` holds what a person reads and edits; ``data/`` holds the same texts in the formats of
the original sources (StarCoder parquet, PDF, jsonl.zst). Both are committed. After an edit run

    python -m mathcode_assets.sample.build_code          # everything but the PDFs
    python -m mathcode_assets.sample.build_code --pdf    # the PDFs too; needs pdflatex (texlive-latex-base)

The same sources give the same bytes, as long as the versions in `BUILT_WITH` (and TeX) stay the same.
What is planted on purpose is listed in ``source_text/manifest_code.yaml``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
import zstandard

HERE = Path(__file__).parent
SOURCE_TEXT = HERE / "source_text"
DATA = HERE / "data"

# Parquet files name their writer, and compressors change: other versions give the same rows in other bytes.
BUILT_WITH = {"pyarrow": "26.0.1", "zstd": "1.5.7"}
ZSTD_LEVEL = 19

# Any fixed instant: pdfTeX writes it where a date cannot be left out.
PDF_EPOCH = 1_700_000_000
# Without these pdfTeX stores the time, the path and its own version in the file.
PDF_PREAMBLE = (
    r"\pdfinfoomitdate=1 \pdftrailerid{} \pdfsuppressptexinfo=-1 "
    r"\pdfcompresslevel=9 \pdfobjcompresslevel=2 \input{glyphtounicode} \pdfgentounicode=1 "
)
# The damaged file: the beginning of a good one, as an interrupted download leaves it.
DAMAGED_PDF = ("lecture-notes-on-linear-recurrences.pdf", "numerical-quadrature-a-short-course.pdf", 0.25)

PYTHON_SCHEMA = pa.schema(
    {
        "max_stars_repo_path": pa.string(),
        "max_stars_repo_name": pa.string(),
        "max_stars_count": pa.int64(),
        "id": pa.string(),
        "content": pa.string(),
    }
)
JUPYTER_SCRIPTS_SCHEMA = pa.schema(
    {
        "hexsha": pa.string(),
        "ext": pa.string(),
        "lang": pa.string(),
        "max_stars_repo_path": pa.string(),
        "max_stars_repo_name": pa.string(),
        "avg_line_length": pa.float64(),
        "alphanum_fraction": pa.float64(),
        "size": pa.int64(),
        "id": pa.string(),
        "content": pa.string(),
    }
)
JUPYTER_STRUCTURED_SCHEMA = pa.schema(
    {
        "license": pa.string(),
        "path": pa.string(),
        "repo_name": pa.string(),
        "chain_length": pa.int64(),
        "size": pa.int64(),
        "id": pa.string(),
        "content": pa.string(),
    }
)

# (file of source_text/synthetic, file of the output folder)
SYNTHETIC_SETS = (
    ("maths_college.txt", "synthetic/maths_college.0000.jsonl.zst"),
    ("education_college.txt", "synthetic/education_college.0000.jsonl.zst"),
    ("book_math.txt", "synthetic/book_math.0000.jsonl.zst"),
    ("education_college.leaky.txt", "leaky/education_college.leaky.jsonl.zst"),
)
ITEM_HEADER = re.compile(r"^%%% (.+)\n", re.MULTILINE)
NOTEBOOK_MARKER = re.compile(r"^(<jupyter_(?:text|code|output)>)\n", re.MULTILINE)


def build(output_dir: Path) -> None:
    """Write starcoder/, synthetic/, leaky/ and textbooks/ under a folder.

    The PDFs are copied from the committed ones: making them needs TeX, see `build_pdfs`.
    """
    build_starcoder(output_dir)
    for source, target in SYNTHETIC_SETS:
        _write_jsonl_zst(synthetic_items(SOURCE_TEXT / "synthetic" / source), output_dir / target)
    copy_pdfs(output_dir / "textbooks")


def build_starcoder(output_dir: Path) -> None:
    """Write the three StarCoder subsets as parquet, one row for each line of ``items.yaml``."""
    folder = SOURCE_TEXT / "starcoder"
    subsets = yaml.safe_load((folder / "items.yaml").read_text(encoding="utf-8"))
    shapes: dict[str, tuple[str, pa.Schema, Callable[[dict[str, Any], str], dict[str, Any]]]] = {
        "python": ("python", PYTHON_SCHEMA, _python_row),
        "jupyter-scripts-dedup-filtered": ("jupyter_scripts", JUPYTER_SCRIPTS_SCHEMA, _jupyter_script_row),
        "jupyter-structured-clean-dedup": (
            "jupyter_structured",
            JUPYTER_STRUCTURED_SCHEMA,
            _jupyter_structured_row,
        ),
    }
    for subset, files in subsets.items():
        source_folder, schema, make_row = shapes[subset]
        number = 0
        for name, items in files.items():
            rows = []
            for item in items:
                source = (folder / source_folder / item["source"]).read_text(encoding="utf-8")
                rows.append({"id": str(number), **make_row(item, source)})
                number += 1
            path = output_dir / "starcoder" / subset / name
            path.parent.mkdir(parents=True, exist_ok=True)
            table = pa.Table.from_pylist(rows, schema=schema)
            pq.write_table(table, path, compression="zstd", compression_level=ZSTD_LEVEL)


def structured_notebook(source: str) -> tuple[str, int]:
    """A notebook in StarCoder's one-line-of-cells form, and its number of text and code cells.

    The source has each marker on a line of its own; an output left empty becomes ``<empty_output>``.
    """
    parts = NOTEBOOK_MARKER.split(source)
    content, n_cells = "<jupyter_start>", 0
    for marker, body in zip(parts[1::2], parts[2::2], strict=True):
        body = body.strip("\n")
        is_output = marker == "<jupyter_output>"
        n_cells += not is_output
        content += marker + (body or ("<empty_output>" if is_output else ""))
    return content, n_cells


def synthetic_items(path: Path) -> Iterator[dict[str, Any]]:
    """The items of a readable set, in order: ``{idx, model, text}`` or ``{id, text}``.

    Each starts with a line ``%%% idx=3 model=NAME`` or ``%%% id=NAME``.
    """
    parts = ITEM_HEADER.split(path.read_text(encoding="utf-8"))
    for header, body in zip(parts[1::2], parts[2::2], strict=True):
        item: dict[str, Any] = dict(field.split("=", 1) for field in header.split())
        if "idx" in item:
            item["idx"] = int(item["idx"])
        yield {**item, "text": body.strip("\n")}


def copy_pdfs(output_dir: Path) -> None:
    """Copy the committed PDFs to a folder, unless it is the one that holds them."""
    output_dir.mkdir(parents=True, exist_ok=True)
    for pdf in sorted((DATA / "textbooks").glob("*.pdf")):
        target = output_dir / pdf.name
        if not (target.exists() and target.samefile(pdf)):
            shutil.copyfile(pdf, target)


def build_pdfs(output_dir: Path) -> None:
    """Run pdflatex over ``source_text/textbooks/*.tex``, and cut one PDF short.

    Raises:
        RuntimeError: pdflatex is missing, or fails; the end of its log is in the message.
    """
    if shutil.which("pdflatex") is None:
        raise RuntimeError("pdflatex not found: apt-get install texlive-latex-base texlive-latex-recommended")
    output_dir.mkdir(parents=True, exist_ok=True)
    for source in sorted((SOURCE_TEXT / "textbooks").glob("*.tex")):
        with tempfile.TemporaryDirectory() as scratch:
            _pdflatex(source, Path(scratch))
            shutil.copyfile(Path(scratch) / f"{source.stem}.pdf", output_dir / f"{source.stem}.pdf")
    damaged, whole, share = DAMAGED_PDF
    good = (output_dir / whole).read_bytes()
    (output_dir / damaged).write_bytes(good[: int(len(good) * share)])


def _pdflatex(source: Path, scratch: Path) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(PDF_EPOCH), "FORCE_SOURCE_DATE": "1"}
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"-jobname={source.stem}"]
    # The path stays out of the PDF: everything is copied beside the output and read by its name.
    for file in (source, *sorted(source.parent.glob("*.sty"))):
        shutil.copyfile(file, scratch / file.name)
    for _ in range(2):  # the second run resolves references
        done = subprocess.run(
            [*command, PDF_PREAMBLE + rf"\input{{{source.name}}}"],
            cwd=scratch,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"pdflatex failed on {source.name}:\n{done.stdout[-2000:]}")


def _python_row(item: dict[str, Any], source: str) -> dict[str, Any]:
    tag = f"<filename>{item['path']}\n" if item.get("filename_tag") else ""
    return {
        "max_stars_repo_path": item["path"],
        "max_stars_repo_name": item["repo"],
        "max_stars_count": item["stars"],
        "content": tag + source,
    }


def _jupyter_script_row(item: dict[str, Any], source: str) -> dict[str, Any]:
    lines = source.split("\n")
    return {
        "hexsha": hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest(),
        "ext": item["ext"],
        "lang": item["lang"],
        "max_stars_repo_path": item["path"],
        "max_stars_repo_name": item["repo"],
        "avg_line_length": sum(map(len, lines)) / len(lines),
        "alphanum_fraction": sum(map(str.isalnum, source)) / len(source),
        "size": len(source.encode()),
        "content": source,
    }


def _jupyter_structured_row(item: dict[str, Any], source: str) -> dict[str, Any]:
    content, n_cells = structured_notebook(source)
    return {
        "license": item["license"],
        "path": item["path"],
        "repo_name": item["repo"],
        "chain_length": n_cells,
        "size": len(content.encode()),
        "content": content,
    }


def _write_jsonl_zst(items: Iterator[dict[str, Any]], path: Path) -> None:
    text = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(text.encode()))


def main() -> None:
    """Rebuild the committed data in place."""
    parser = argparse.ArgumentParser(description="Rebuild the sample's code, textbooks and synthetic sets.")
    parser.add_argument("--pdf", action="store_true", help="rebuild the PDFs too (needs pdflatex)")
    arguments = parser.parse_args()
    if arguments.pdf:
        build_pdfs(DATA / "textbooks")
    build(DATA)


if __name__ == "__main__":
    main()
