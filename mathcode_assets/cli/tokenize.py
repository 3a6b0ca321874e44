"""`mathcode tokenize` and `mathcode pack`: rows with text to token tables, and those to training sequences."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mathcode_assets.cli.console import UsageError, err, out
from mathcode_assets.cli.stages import Input, chunks
from mathcode_assets.records import TOKENS
from mathcode_assets.sources.listing import SourceFile, list_inputs
from mathcode_assets.sources.partitions import partition_key
from mathcode_assets.storage.filesystem import locate
from mathcode_assets.storage.lake import Lake, Table
from mathcode_assets.storage.manifest import Accounting, Manifest, Recipe, digest

if TYPE_CHECKING:
    from mathcode_assets.tokenization.encoder import TextEncoder

TABLE = "tokens"
INDEX_FILE = "tokenization.json"
CODE_VERSION = "1"
FORMAT = 1


def add_commands(commands: Any) -> None:
    """Add the subcommands of this module."""
    tokens = commands.add_parser("tokenize", help="rows id, text -> token tables; goes on where it was stopped")
    tokens.add_argument("--tokenizer", required=True, metavar="T", help="a tokenizer.json, or a model's folder")
    tokens.add_argument("--input", required=True, metavar="X", help="file, folder or glob, local or s3://")
    tokens.add_argument("--output", required=True, metavar="DIR")
    tokens.add_argument("--add-bos", choices=("auto", "yes", "no"), default="auto", help="begin of a document")
    for name in ("bos", "eos", "pad"):
        tokens.add_argument(f"--{name}-token", metavar="TEXT", help="where the tokenizer does not say")
    tokens.add_argument("--no-fast", action="store_true", help="the tokenizers library alone")
    tokens.set_defaults(run=tokenize)
    packing = commands.add_parser("pack", help="token tables -> packed sequences with document boundaries")
    packing.add_argument("--length", required=True, type=int, metavar="L", help="tokens of a sequence")
    packing.add_argument("--input", required=True, metavar="DIR", help="the output of tokenize")
    packing.add_argument("--output", required=True, metavar="DIR")
    packing.set_defaults(run=pack)


def tokenize(arguments: argparse.Namespace) -> int:
    """One token table for each input file, and `tokenization.json` over them, written last."""
    encoder = _encoder(arguments)
    files = _by_partition(arguments.input)
    lake = Lake(arguments.output)
    manifests = _publish_all(lake, files, encoder)
    n_bad = sum(manifest.accounting.n_quarantined for manifest in manifests)
    special = encoder.special
    index = {
        "format": FORMAT,
        "tokenizer": encoder.name,
        "tokenizer_hash": encoder.tokenizer_hash,
        "vocab_size": encoder.vocab_size,
        **asdict(special),
        "n_documents": sum(manifest.n_rows for manifest in manifests),
        "n_tokens": sum(manifest.n_tokens or 0 for manifest in manifests),
        "n_quarantined": n_bad,
        "partitions": list(files),
        "corpus_fingerprint": digest([encoder.tokenizer_hash, [manifest.data_version for manifest in manifests]]),
    }
    (lake.root / "tokenizer.json").write_bytes(encoder.data)
    (lake.root / INDEX_FILE).write_bytes((json.dumps(index, indent=1) + "\n").encode())
    out.print(f"{index['n_documents']:,} documents, {index['n_tokens']:,} tokens by {encoder.name}", markup=False)
    if n_bad:
        err.print(f"{n_bad} records quarantined", markup=False)
    return 1 if n_bad else 0


def _encoder(arguments: argparse.Namespace) -> TextEncoder:
    from mathcode_assets.tokenization.encoder import load_encoder
    from mathcode_assets.tokenization.special_tokens import SpecialTokenConfig

    config = SpecialTokenConfig(
        add_bos={"auto": None, "yes": True, "no": False}[arguments.add_bos],
        bos_token=arguments.bos_token,
        eos_token=arguments.eos_token,
        pad_token=arguments.pad_token,
    )
    try:
        encoder = load_encoder(arguments.tokenizer, config=config, fast=not arguments.no_fast)
    except FileNotFoundError as error:
        raise UsageError(f"{arguments.tokenizer}: no tokenizer.json there") from error
    except Exception as error:  # the library raises Exception itself on a file that it cannot read
        raise UsageError(f"{arguments.tokenizer}: {error}") from error
    if encoder.refused and not arguments.no_fast:
        err.print(f"encoded by the tokenizers library, slowly: {encoder.refused}", markup=False)
    return encoder


def _by_partition(uri: str) -> dict[str, SourceFile]:
    files: dict[str, SourceFile] = {}
    for file in list_inputs(uri):
        key = partition_key(file.relative_path)
        if key in files:
            raise UsageError(f"{file.relative_path} and {files[key].relative_path} ask for the same table {key}")
        files[key] = file
    return files


def _publish_all(lake: Lake, files: dict[str, SourceFile], encoder: TextEncoder) -> list[Manifest]:
    """The manifests in order; a table that is there already is not made again."""
    from mathcode_assets.tokenization.documents import EncodersDiffer

    while True:
        try:
            return [_publish(lake, lake.table(TABLE, key), file, encoder) for key, file in files.items()]
        except EncodersDiffer as error:
            err.print(f"the compiled encoder differs from the library ({error}): all by the library", markup=False)
            encoder.use_library(f"it differs on {error}")


def _publish(lake: Lake, table: Table, file: SourceFile, encoder: TextEncoder) -> Manifest:
    from mathcode_assets.tokenization.documents import tokenize_documents

    special = asdict(encoder.special)
    recipe = Recipe(
        code_version=CODE_VERSION,
        inputs={file.relative_path: file.fingerprint},
        config={"tokenizer": encoder.tokenizer_hash, "vocab_size": encoder.vocab_size, **special},
    )
    by = "library" if encoder.refused else "compiled"
    if lake.is_current(table, recipe):
        present = table.manifest()
        # What the compiled encoder made is not kept once it was found to differ.
        if by == "compiled" or present.facts["encoder"] == "library" or encoder.refused == "not asked for":
            return present
    rows = Input(file.uri, {"text": str})
    n_tokens = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal n_tokens
        for batch in tokenize_documents(_documents(rows), encoder):
            n_tokens += len(batch.column("tokens").values)
            yield batch

    manifest = lake.publish(
        table,
        schema=TOKENS,
        recipe=recipe,
        batches=batches(),
        accounting=lambda n_rows: Accounting(
            n_in=n_rows + rows.n_bad, n_kept=n_rows, quarantined={"unreadable": rows.n_bad} if rows.n_bad else {}
        ),
        n_tokens=lambda: n_tokens,
        tokenizer=encoder.name,
        facts=lambda: {"encoder": by, "tokenizer_hash": encoder.tokenizer_hash},
    )
    err.print(f"{file.relative_path}: {manifest.n_rows:,} documents, {n_tokens:,} tokens", markup=False)
    return manifest


def _documents(rows: Input) -> Iterator[pa.RecordBatch]:
    """Rows as doc_id and text; a document of the pile has `doc_id`, any other row `id`, else its number."""
    number = 0
    for chunk in chunks(rows):
        ids = []
        for row in chunk:
            found = row.get("doc_id", row.get("id"))
            ids.append(found if isinstance(found, str) else json.dumps(number if found is None else found))
            number += 1
        texts = pa.array([row["text"] for row in chunk], pa.large_string())
        yield pa.RecordBatch.from_arrays([pa.array(ids, pa.string()), texts], names=["doc_id", "text"])


def pack(arguments: argparse.Namespace) -> int:
    """Sequences of one length from the output of `tokenize`."""
    from mathcode_assets.tokenization.packed_files import Corpus, write_packed
    from mathcode_assets.tokenization.packing import PackingConfig

    lake = Lake(arguments.input)
    try:
        index = json.loads((lake.root / INDEX_FILE).read_bytes())
    except FileNotFoundError as error:
        raise UsageError(
            f"{arguments.input}: no {INDEX_FILE}; is it the output of tokenize, and did that end?"
        ) from error
    names = ("corpus_fingerprint", "tokenizer", "tokenizer_hash", "vocab_size", "bos_id", "eos_id", "pad_id")
    tables = [lake.table(TABLE, partition) for partition in index["partitions"]]
    batches = (batch for table in tables for batch in table.batches(columns=["doc_id", "tokens"]))
    try:
        config = PackingConfig(length=arguments.length)
        corpus = Corpus(**{name: index[name] for name in names})
        facts = write_packed(batches, locate(arguments.output), corpus=corpus, config=config)
    except ValueError as error:
        raise UsageError(f"{arguments.input}: {error}") from error
    share = facts["n_padding"] / (facts["n_sequences"] * facts["length"])
    out.print(
        f"{facts['n_sequences']:,} sequences of {facts['length']:,}: {facts['n_tokens']:,} tokens, "
        f"{share:.3%} padding, {facts['n_cut_documents']:,} of {facts['n_documents']:,} documents cut",
        markup=False,
    )
    return 0
