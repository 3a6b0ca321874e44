"""Builds the sample's web documents and benchmarks from their readable sources.

``source_text/`` holds what a person reads and edits; ``data/`` holds the same texts in the formats of
the original sources. Both are committed. After an edit run ``python -m mathcode_assets.sample.build``,
which also calls `build_code` where that module is there.

| written | rows |
|---|---|
| open_web_math/train-0000I-of-00002.parquet | url, text, date, metadata, as OpenWebMath has them |
| cc_en/cc_en.000I.jsonl.zst | {id, text}, as Matrix has them, and a few broken lines |
| cc_en/labels.parquet | one for each web document of both sources, see `LABEL_SCHEMA` |
| benchmarks/NAME.jsonl | {idx, question, answer, options, solution} |

The same sources give the same bytes, as long as the versions in `BUILT_WITH` stay the same. What is
planted on purpose is listed in ``source_text/manifest.yaml``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
import zstandard

HERE = Path(__file__).parent
SOURCE_TEXT = HERE / "source_text"
DATA = HERE / "data"
# Code, textbooks and synthetic sets; a module of the same shape.
BUILD_CODE = "mathcode_assets.sample.build_code"

# Parquet files name their writer, and compressors change: other versions give the same rows in other bytes.
BUILT_WITH = {"pyarrow": "26.0.1", "zstd": "1.5.7"}
ZSTD_LEVEL = 19

OPEN_WEB_MATH = "open_web_math"
CC_EN = "cc_en"
N_SHARDS = {OPEN_WEB_MATH: 2, CC_EN: 3}
FRONT_MATTER = "---\n"
# An editor shows a line separator as nothing at all, so the sources spell it out.
LINE_SEPARATOR = "[U+2028]"

OPEN_WEB_MATH_SCHEMA = pa.schema(
    {"url": pa.string(), "text": pa.string(), "date": pa.string(), "metadata": pa.string()}
)
LABEL_SCHEMA = pa.schema(
    {
        "id": pa.string(),  # of cc_en the record's own; of open_web_math, which has none, <file>#<row>
        "label": pa.string(),  # math or other; borderline pages are other
        "kind": pa.string(),  # math, borderline or other
        "split": pa.string(),  # train or test; no host has pages in both
        "source": pa.string(),  # host of the page
        "component": pa.string(),  # open_web_math or cc_en
        "licence": pa.string(),
        "url": pa.string(),
        "duplicate_of": pa.string(),  # id of the original, null for an original
        "duplicate_kind": pa.string(),  # exact or near
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebDocument:
    """One web page of the sample.

    Attributes:
        name: file under source_text/ without its ending; of a copy, its id.
        record_id: of cc_en the record's id; of open_web_math empty.
        shard: 0-based number of the shard in its component.
        kind: math, borderline or other.
        split: train or test.
        date: of open_web_math, ISO 8601; of cc_en empty.
        copy_of: name of the original; empty for an original.
        copy_kind: exact or near; empty for an original.
    """

    name: str
    component: str
    record_id: str
    shard: int
    url: str
    licence: str
    label: str
    kind: str
    split: str
    date: str
    text: str
    copy_of: str = ""
    copy_kind: str = ""


def build(output_dir: Path) -> None:
    """Write open_web_math/, cc_en/ and benchmarks/ under a folder."""
    manifest = load_manifest()
    documents = load_documents(manifest)
    for name in (OPEN_WEB_MATH, CC_EN, "benchmarks"):
        (output_dir / name).mkdir(parents=True, exist_ok=True)
    for shard in range(N_SHARDS[OPEN_WEB_MATH]):
        rows = [_open_web_math_row(document) for document in shard_of(documents, OPEN_WEB_MATH, shard)]
        path = output_dir / OPEN_WEB_MATH / file_name(OPEN_WEB_MATH, shard)
        _write_parquet(rows, OPEN_WEB_MATH_SCHEMA, path)
    for shard in range(N_SHARDS[CC_EN]):
        lines = _cc_en_lines(shard_of(documents, CC_EN, shard), manifest["broken_records"], shard)
        data = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress("".join(lines).encode())
        (output_dir / CC_EN / file_name(CC_EN, shard)).write_bytes(data)
    _write_parquet(label_rows(documents), LABEL_SCHEMA, output_dir / CC_EN / "labels.parquet")
    for path in sorted((SOURCE_TEXT / "benchmarks").glob("*.yaml")):
        text = "".join(_json_line(item) for item in benchmark_items(path))
        (output_dir / "benchmarks" / f"{path.stem}.jsonl").write_bytes(text.encode())


def load_manifest() -> dict[str, Any]:
    """What is planted in the documents, as ``source_text/manifest.yaml`` lists it."""
    return yaml.safe_load((SOURCE_TEXT / "manifest.yaml").read_text(encoding="utf-8"))


def load_documents(manifest: dict[str, Any]) -> list[WebDocument]:
    """Every web document, copies after all originals."""
    paths = [path for name in N_SHARDS for path in sorted((SOURCE_TEXT / name).glob("*.md"))]
    originals = [read_document(path) for path in paths]
    by_name = {document.name: document for document in originals}
    return originals + [_copy(by_name[entry["of"]], entry) for entry in manifest["copies"]]


def read_document(path: Path) -> WebDocument:
    """The page in a Markdown file with front matter.

    Raises:
        ValueError: the file has no front matter, or is filed under another component than it names.
    """
    source = path.read_text(encoding="utf-8")
    before, _, rest = source.partition(FRONT_MATTER)
    front, found, body = rest.partition(FRONT_MATTER)
    if before or not found:
        raise ValueError(f"{path}: no front matter")
    fields = yaml.safe_load(front)
    if fields["component"] != path.parent.name:
        raise ValueError(f"{path}: component {fields['component']}")
    text = body.rstrip("\n").replace(LINE_SEPARATOR, "\u2028")
    if fields.get("line_ends") == "crlf":
        text = text.replace("\n", "\r\n")
    return WebDocument(
        name=f"{path.parent.name}/{path.stem}",
        component=fields["component"],
        record_id=fields.get("id", ""),
        shard=fields["shard"],
        url=fields["url"],
        licence=fields["licence"],
        label=fields["label"],
        kind=fields["kind"],
        split=fields["split"],
        date=fields["date"].isoformat() if "date" in fields else "",
        text=text,
    )


def shard_of(documents: list[WebDocument], component: str, shard: int) -> list[WebDocument]:
    """The documents of one shard, in the order of its rows."""
    return [document for document in documents if (document.component, document.shard) == (component, shard)]


def file_name(component: str, shard: int) -> str:
    """Name of a shard, in the manner of the original source."""
    if component == OPEN_WEB_MATH:
        return f"train-{shard:05d}-of-{N_SHARDS[component]:05d}.parquet"
    return f"cc_en.{shard:04d}.jsonl.zst"


def benchmark_items(path: Path) -> list[dict[str, Any]]:
    """The items of one benchmark source, with its instruction in front where the item does not refuse it."""
    source = yaml.safe_load(path.read_text(encoding="utf-8"))
    items = []
    for idx, item in enumerate(source["items"]):
        instruction = source.get("instruction", "") if item.get("instructed", True) else ""
        row = {"idx": idx, "question": instruction + item["question"], "answer": item["answer"]}
        if "options" in item:
            row["options"] = item["options"]
        items.append(row | {"solution": item["solution"]})
    return items


def label_rows(documents: list[WebDocument]) -> list[dict[str, Any]]:
    """One row of `LABEL_SCHEMA` for each document, shard after shard, in the order of the shards' rows."""
    ordered: list[tuple[str, WebDocument]] = []
    for component, n_shards in N_SHARDS.items():
        for shard in range(n_shards):
            for row, document in enumerate(shard_of(documents, component, shard)):
                ordered.append((document.record_id or f"{file_name(component, shard)}#{row}", document))
    ids = {document.name: record_id for record_id, document in ordered}
    return [
        {
            "id": record_id,
            "label": document.label,
            "kind": document.kind,
            "split": document.split,
            "source": document.url.split("/")[2],
            "component": document.component,
            "licence": document.licence,
            "url": document.url,
            "duplicate_of": ids.get(document.copy_of),
            "duplicate_kind": document.copy_kind or None,
        }
        for record_id, document in ordered
    ]


def _copy(original: WebDocument, entry: dict[str, Any]) -> WebDocument:
    text = original.text
    for old, new in entry.get("edits", []):
        if text.count(old) != 1:
            raise ValueError(f"{entry['id']}: edit does not apply once: {old!r}")
        text = text.replace(old, new)
    return dataclasses.replace(
        original,
        name=entry["id"],
        component=CC_EN,
        record_id=entry["id"],
        shard=entry["shard"],
        url=entry["url"],
        date="",
        text=text,
        copy_of=original.name,
        copy_kind=entry["kind"],
    )


def _open_web_math_row(document: WebDocument) -> dict[str, Any]:
    return {
        "url": document.url,
        "text": document.text,
        "date": document.date,
        "metadata": json.dumps(_open_web_math_metadata(document)),
    }


def _open_web_math_metadata(document: WebDocument) -> dict[str, Any]:
    """The counts that the extraction of OpenWebMath would have made, as far as the sample has the marks."""
    without_display, n_display = re.subn(r"\$\$.+?\$\$", "", document.text, flags=re.DOTALL)
    n_inline = len(re.findall(r"\$[^$\n]+\$", without_display))
    n_align = document.text.count(r"\begin{align}")
    return {
        "extraction_info": {
            "found_math": n_inline + n_display + n_align > 0,
            "mathjax_inline_tex": n_inline,
            "mathjax_display_tex": n_display,
            "align": n_align,
        },
        "config": {"markdown_headings": False, "markdown_code": True},
        "provenance": {"path": f"source_text/{document.name}.md", "license": document.licence},
    }


def _cc_en_lines(documents: list[WebDocument], broken: list[dict[str, Any]], shard: int) -> list[str]:
    before = {entry["before"]: entry["line"] for entry in broken if entry["shard"] == shard}
    lines = []
    for document in documents:
        if document.record_id in before:
            lines.append(before[document.record_id] + "\n")
        lines.append(_json_line({"id": document.record_id, "text": document.text}))
    return lines


def _json_line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _write_parquet(rows: list[dict[str, Any]], schema: pa.Schema, path: Path) -> None:
    table = pa.Table.from_pylist(rows, schema=schema)
    pq.write_table(table, path, compression="zstd", compression_level=ZSTD_LEVEL)


def main() -> None:
    """Build into the package, or into a folder given on the command line."""
    parser = argparse.ArgumentParser(description="Build the embedded sample from its readable sources.")
    parser.add_argument("--output", type=Path, default=DATA)
    output = parser.parse_args().output
    build(output)
    if find_spec(BUILD_CODE):
        import_module(BUILD_CODE).build(output)


if __name__ == "__main__":
    main()
