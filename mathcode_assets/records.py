"""Every Arrow schema that crosses a stage boundary, and the one way to make rows of them.

A *document* table holds text and where it came from. An *attributes* table holds what a tagger
found, one row for each document of the table it read, in the same order (co-partitioned), and
never any text. `consolidate` in `storage.consolidate` joins the two.

Arrow does not enforce a schema by itself: `RecordBatch.from_pylist` drops unknown keys and fills
missing ones with null. `batch_of` is the checked way from Python rows to a RecordBatch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

SCHEMA_NAME_KEY = b"mathcode.schema"
FIELD_DOC_KEY = b"doc"

UNKNOWN_LICENCE = "unknown"

KEPT = "kept"
DROPPED = "dropped"

# Verdicts of deduplication, as the `dedup` command writes them.
EXACT_DUPLICATE = "exact_duplicate"
NEAR_DUPLICATE = "near_duplicate"

# Verdicts of a computation, as the `verify` command writes them.
VERIFIED = "verified"
REFUTED = "refuted"
UNVERIFIABLE = "unverifiable"

# Verdicts of decontamination, as the `decontaminate` command writes them.
CLEAN = "clean"
NEAR = "near"
CONTAMINATED = "contaminated"


def _field(name: str, dtype: pa.DataType, doc: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, dtype, nullable=nullable, metadata={FIELD_DOC_KEY: doc.encode()})


def _schema(name: str, fields: list[pa.Field]) -> pa.Schema:
    return pa.schema(fields, metadata={SCHEMA_NAME_KEY: name.encode()})


_DOCUMENT_FIELDS = [
    _field("doc_id", pa.string(), "32 hex digits: hash of source, source_id and text"),
    _field("source", pa.string(), "key in the sources file, e.g. open_web_math"),
    _field("source_id", pa.string(), "the record's own id, else <file>#<row>"),
    _field("source_uri", pa.string(), "the record's own address (page, repository path, file)"),
    _field("source_file", pa.string(), "file of the source, relative to its root"),
    _field("source_row", pa.int64(), "0-based record number in source_file"),
    _field("source_revision", pa.string(), "commit, ETag or content hash of source_file"),
    _field("licence", pa.string(), "SPDX where the source says so, else 'unknown'"),
    _field("text", pa.large_string(), "UTF-8 text, never empty"),
    _field("source_metadata", pa.large_string(), "the source's other columns, canonical JSON"),
]

DOCUMENT = _schema("document/1", _DOCUMENT_FIELDS)

CLEAN_DOCUMENT = _schema(
    "clean_document/1",
    [*_DOCUMENT_FIELDS, _field("n_tokens", pa.int32(), "tokens by the tokenizer in the manifest")],
)

PILE_DOCUMENT = _schema(
    "pile_document/1",
    [
        _field("component", pa.string(), "CLI name of the component, e.g. cc_en_math"),
        *_DOCUMENT_FIELDS,
        _field("n_tokens", pa.int32(), "tokens by the tokenizer in the manifest"),
        _field("repetition", pa.int32(), "0 for the first copy, 1.. for copies a weight above 1 asks for"),
    ],
)

QUARANTINE = _schema(
    "quarantine/1",
    [
        _field("source", pa.string(), "key in the sources file"),
        _field("source_file", pa.string(), "file of the source, relative to its root"),
        _field("source_row", pa.int64(), "0-based record number in source_file"),
        _field("reason", pa.string(), "snake_case reason, e.g. invalid_json"),
        _field("detail", pa.large_string(), "the error in words"),
        _field("payload", pa.large_binary(), "the record's bytes, at most 64 KiB of them"),
    ],
)

FILTER_ATTRIBUTES = _schema(
    "filter_attributes/1",
    [
        _field("doc_id", pa.string(), "as in the documents, same order"),
        _field("verdict", pa.string(), "kept or dropped"),
        _field("reason", pa.string(), "why dropped, snake_case; empty where kept"),
        _field("score", pa.float32(), "in [0, 1], null where a rule decides", nullable=True),
        _field("model", pa.string(), "name@version of the model or rule that decided"),
        _field("labels", pa.list_(pa.string()), "what the tagger saw: packages, block types"),
    ],
)

BAND_KEYS_BYTES = 105

FINGERPRINT = _schema(
    "fingerprint/2",
    [
        _field("doc_id", pa.string(), "as in the documents, same order"),
        _field("content_hash", pa.binary(16), "BLAKE2b of the kind of text and the normalised text"),
        _field("n_chars", pa.int64(), "Unicode characters of the text as it stands"),
        _field("bands", pa.binary(BAND_KEYS_BYTES), "21 MinHash band keys of 5 bytes; zeros for a text without words"),
    ],
)

DUPLICATE_ATTRIBUTES = _schema(
    "duplicate_attributes/2",
    [
        _field("doc_id", pa.string(), "as in the documents, same order"),
        _field("verdict", pa.string(), "kept, exact_duplicate or near_duplicate"),
        _field("duplicate_of", pa.string(), "doc_id of the copy that stays", nullable=True),
        _field("duplicate_component", pa.string(), "component of that copy", nullable=True),
        _field("similarity", pa.float32(), "Jaccard of word 5-grams with that copy, null where kept", nullable=True),
        _field("cluster", pa.string(), "content hash of the cluster's first text, null for a singleton", nullable=True),
    ],
)

CONTAMINATION_MATCH = pa.struct(
    [
        _field("benchmark", pa.string(), "benchmark name"),
        _field("question_index", pa.int32(), "idx of the item in its benchmark"),
        _field("verdict", pa.string(), "near or contaminated"),
        _field("score", pa.float32(), "containment of the item in the document, [0, 1]"),
        _field("evidence", pa.large_string(), "the aligned span of the document"),
    ]
)

CONTAMINATION_ATTRIBUTES = _schema(
    "contamination_attributes/1",
    [
        _field("doc_id", pa.string(), "as in the documents, same order"),
        _field("verdict", pa.string(), "clean, near or contaminated"),
        _field("benchmark", pa.string(), "of the strongest match", nullable=True),
        _field("question_index", pa.int32(), "of the strongest match", nullable=True),
        _field("score", pa.float32(), "of the strongest match, 0 where clean"),
        _field("evidence", pa.large_string(), "of the strongest match", nullable=True),
        _field("matches", pa.list_(CONTAMINATION_MATCH), "every matched item, strongest first"),
    ],
)

CORPUS_NGRAMS = _schema(
    "corpus_ngrams/1",
    [
        _field("first_row", pa.int64(), "row of the segment's first document in the table of documents"),
        _field("n_rows", pa.int32(), "documents of the segment"),
        _field("pieces", pa.large_binary(), "document of each piece, from 0 in the segment; uint16, little-endian"),
        _field("counts", pa.large_binary(), "entries of each bucket; uint16, little-endian"),
        _field("entries", pa.large_binary(), "piece << 2 | two bits of the key, bucket after bucket; uint16"),
    ],
)

COMPLETION = _schema(
    "completion/1",
    [
        _field("doc_id", pa.string(), "document the request was made of"),
        _field("chunk", pa.int32(), "0-based number of the passage within the document"),
        _field("chunk_start", pa.int64(), "first character of the passage in the document's text"),
        _field("chunk_end", pa.int64(), "one past its last character"),
        _field("request_key", pa.string(), "64 hex digits: sha256 of every resolved field of the request"),
        _field("generator", pa.string(), "model@revision, or name@version of the rules that answered"),
        _field("prompt_version", pa.string(), "version of the prompt's wording"),
        _field("status", pa.string(), "ok or failed"),
        _field("text", pa.large_string(), "the answer as it came; empty where failed"),
        _field("error", pa.string(), "why there is no answer; empty where ok"),
        _field("finish_reason", pa.string(), "as the server says it: stop, length, ..."),
        _field("prompt_tokens", pa.int32(), "as billed; 0 where rules answered"),
        _field("completion_tokens", pa.int32(), "as billed; 0 where rules answered"),
    ],
)

_COMPUTATION_FIELDS = [
    _field("computation_id", pa.string(), "32 hex digits: hash of doc_id, chunk, number and contents"),
    _field("doc_id", pa.string(), "document the computation was found in"),
    _field("chunk", pa.int32(), "0-based number of the passage within the document"),
    _field("computation", pa.int32(), "0-based number of the computation within the passage"),
    _field("conditions", pa.large_string(), "what has to be known, in words and LaTeX; may be empty"),
    _field("expression", pa.large_string(), "what is computed, LaTeX without delimiters where there were any"),
    _field("result", pa.large_string(), "the stated result, as the answer states it"),
    _field("language", pa.string(), "python or octave"),
    _field("code", pa.large_string(), "the program that computes the result, without its fence"),
    _field("span_start", pa.int64(), "first character of the expression in the document", nullable=True),
    _field("span_end", pa.int64(), "one past its last; null where it does not occur literally", nullable=True),
    _field("generator", pa.string(), "as in the completions"),
    _field("request_key", pa.string(), "as in the completions"),
    _field("prompt_tokens", pa.float64(), "this computation's share of the request's prompt tokens"),
    _field("completion_tokens", pa.float64(), "its share of the answer's tokens"),
    _field("problem", pa.string(), "why it cannot be used, snake_case, e.g. no_code; empty where it can"),
    _field("raw", pa.large_string(), "the part of the answer it was read from; empty where there is no problem"),
]

COMPUTATION = _schema("computation/1", _COMPUTATION_FIELDS)

VERIFIED_COMPUTATION = _schema(
    "verified_computation/1",
    [
        *_COMPUTATION_FIELDS,
        _field("status", pa.string(), "of the execution: ok, error, timeout, ..., not_run where there is a problem"),
        _field("stdout", pa.large_string(), "what the program printed"),
        _field("stderr", pa.large_string(), "what it wrote to stderr, cut to 4,000 characters"),
        _field("exit_code", pa.int32(), "null where a signal or the supervisor ended it", nullable=True),
        _field("tier", pa.string(), "isolation it ran under: namespace or landlock"),
        _field("verdict", pa.string(), "verified, refuted or unverifiable"),
        _field("method", pa.string(), "how the verdict came about, snake_case"),
        _field("evidence", pa.large_string(), "the two values that were compared, in words"),
        _field("source", pa.string(), "key in the sources file of the document"),
        _field("source_id", pa.string(), "of the document"),
        _field("source_uri", pa.string(), "of the document"),
        _field("licence", pa.string(), "of the document"),
    ],
)

NGRAM_OVERLAP = _schema(
    "ngram_overlap/1",
    [
        _field("component", pa.string(), "CLI name of the component, e.g. cc_en_math"),
        _field("benchmark", pa.string(), "file stem, e.g. gsm8k"),
        _field("n", pa.int32(), "tokens in an n-gram, 3 to 13"),
        _field("n_grams", pa.int64(), "n-grams of the component, repetitions counted"),
        _field("n_shared", pa.int64(), "those that occur in the benchmark"),
        _field("overlap", pa.float64(), "n_shared / n_grams, [0, 1]: the column of the paper's table"),
        _field("document_share", pa.float64(), "documents with at least one shared n-gram, [0, 1]"),
        _field("benchmark_share", pa.float64(), "the benchmark's n-grams found in the component, [0, 1]"),
    ],
)

BENCHMARK_ITEM = _schema(
    "benchmark_item/1",
    [
        _field("benchmark", pa.string(), "file stem, e.g. gsm8k"),
        _field("question_index", pa.int32(), "idx, else the record number"),
        _field("question", pa.large_string(), "without the instruction prefix"),
        _field("answer", pa.large_string(), "short answer, may be empty"),
        _field("solution", pa.large_string(), "worked solution, may be empty"),
        _field("options", pa.large_string(), "answer options, may be empty"),
    ],
)

LABEL = _schema(
    "label/1",
    [
        _field("source_id", pa.string(), "id of the labelled record"),
        _field("label", pa.string(), "math or other"),
        _field("split", pa.string(), "train or test; source-disjoint where the labels say so"),
    ],
)

TEXTBOOK_SKETCH = _schema(
    "textbook_sketch/1",
    [
        _field("doc_id", pa.string(), "of the document sketched"),
        _field("source_file", pa.string(), "file of the source, relative to its root"),
        _field("name_words", pa.list_(pa.string()), "words of the file name, sorted, each once"),
        _field("n_pages", pa.int32(), "pages of the PDF, 0 where unknown"),
        _field("n_chars", pa.int64(), "characters of the text"),
        _field("text_hash", pa.string(), "32 hex digits of the text's SHA-256"),
        _field("word_sketch", pa.list_(pa.uint64()), "smallest hashes of the set of words, ascending"),
        _field("shingle_sketch", pa.list_(pa.uint64()), "the same of the set of word 5-grams"),
    ],
)

TEXTBOOK_EDITION = _schema(
    "textbook_edition/1",
    [
        _field("doc_id", pa.string(), "of the copy that goes"),
        _field("duplicate_of", pa.string(), "doc_id of the copy that stays"),
        _field("rule", pa.string(), "equal_text, name_and_words or shared_text"),
        _field("similarity", pa.float32(), "what the rule measured, [0, 1]"),
    ],
)

TOKENS = _schema(
    "tokens/1",
    [
        _field("doc_id", pa.string(), "as in the documents, same order"),
        _field("n_tokens", pa.int32(), "ids in `tokens`; 0 where nothing of the text is left"),
        _field("tokens", pa.list_(pa.uint32()), "ids by the tokenizer in the manifest, begin and end included"),
    ],
)

PACKED_PIECE = _schema(
    "packed_piece/1",
    [
        _field("sequence", pa.int64(), "0-based number of the sequence, over all shards"),
        _field("piece", pa.int32(), "0-based number of the piece within the sequence"),
        _field("doc_id", pa.string(), "document the piece is of"),
        _field("start", pa.int64(), "tokens of the document before the piece; above 0 only where it was cut"),
    ],
)

SCORE = _schema(
    "score/2",
    [
        _field("model", pa.string(), "name of the model in tables"),
        _field("model_fingerprint", pa.string(), "hash of the checkpoint's files, null for a server", nullable=True),
        _field("corpus_fingerprint", pa.string(), "of what it was trained on, null where unstamped", nullable=True),
        _field("composition", pa.string(), "of the data, in an ablation; empty otherwise"),
        _field("seed", pa.int64(), "of the training in an ablation, else of the choice of items"),
        _field("benchmark", pa.string(), "name of the task, e.g. gsm8k"),
        _field("n_shots", pa.int32(), "exemplars before each question"),
        _field("n", pa.int32(), "items asked; of held-out text its documents"),
        _field("n_right", pa.int32(), "items whose answer is verified"),
        _field("score", pa.float64(), "n_right / n, [0, 1]; null where nothing is right or wrong", nullable=True),
        _field("low", pa.float64(), "lower end of Wilson's 95 % interval, [0, 1]"),
        _field("high", pa.float64(), "its upper end"),
        _field("n_contaminated", pa.int32(), "of the n, items found in the training data"),
        _field("n_right_contaminated", pa.int32(), "of these, right"),
        _field("score_clean", pa.float64(), "score without them, [0, 1]; null where none is left", nullable=True),
        _field("low_clean", pa.float64(), "lower end of the interval without them"),
        _field("high_clean", pa.float64(), "its upper end"),
        _field("n_no_answer", pa.int32(), "completions without an answer"),
        _field("n_unverifiable", pa.int32(), "answers that could not be decided; they count as wrong"),
        _field("n_prompts_cut", pa.int32(), "prompts longer than the context, null where unknown", nullable=True),
        _field("paper_model", pa.string(), "model of the paper that stands beside"),
        _field("paper_score", pa.float64(), "its score, percent; null where the paper has none", nullable=True),
        _field("perplexity", pa.float64(), "of held-out text, per token; null for items", nullable=True),
        _field("bits_per_byte", pa.float64(), "the same loss in bits a byte of UTF-8; null for items", nullable=True),
        _field("bits_per_byte_error", pa.float64(), "its standard error over documents", nullable=True),
    ],
)

ABLATION_SCORE = _schema(
    "ablation_score/1",
    [
        _field("composition", pa.string(), "of the data, e.g. basic+paired"),
        _field("benchmark", pa.string(), "name of the task, e.g. gsm8k"),
        _field("measure", pa.string(), "share_right, perplexity or bits_per_byte"),
        _field("n_runs", pa.int32(), "runs with it, one for each seed"),
        _field("n", pa.int32(), "items or documents asked of each run; the same ones for all"),
        _field("mean", pa.float64(), "over the runs"),
        _field("deviation", pa.float64(), "standard deviation over the runs; null for a single one", nullable=True),
        _field("difference", pa.float64(), "mean minus that of `basic`; null where basic has none", nullable=True),
        _field("paper_score", pa.float64(), "percent right; null where the paper has no such run", nullable=True),
    ],
)

SCORE_ITEM = _schema(
    "score_item/1",
    [
        _field("benchmark", pa.string(), "name of the task, e.g. gsm8k"),
        _field("question_index", pa.int32(), "idx of the item in its benchmark"),
        _field("completion", pa.large_string(), "as generated; the chosen letter where options were scored"),
        _field("answer", pa.large_string(), "taken from the completion; empty where there is none"),
        _field("gold", pa.large_string(), "the reference answer"),
        _field("found_by", pa.string(), "where the answer stood: boxed, stated, last_number, ..."),
        _field("verdict", pa.string(), "verified (right), refuted or unverifiable"),
        _field("method", pa.string(), "how the verdict came about, snake_case"),
        _field("evidence", pa.large_string(), "the two values that were compared, in words"),
        _field("is_contaminated", pa.bool_(), "whether the item was found in the training data"),
    ],
)

TAKEN_DOWN = _schema(
    "taken_down/1",
    [
        _field("doc_id", pa.string(), "document that is to leave the pile"),
        _field("table", pa.string(), "table of documents it was found in, e.g. raw/cc_en"),
        _field("shard", pa.string(), "its partition"),
        _field("source", pa.string(), "key in the sources file, e.g. open_web_math"),
        _field("source_id", pa.string(), "of the document"),
        _field("source_uri", pa.string(), "of the document"),
        _field("licence", pa.string(), "of the document"),
        _field("why", pa.string(), "named by the request, same_text as one that is, or translated from one"),
        _field("n_tokens", pa.int32(), "tokens of the pile that it was, copies counted; 0 where not in the pile"),
        _field("prose_hash", pa.binary(16), "content hash of the text as prose, as in the fingerprints"),
        _field("code_hash", pa.binary(16), "content hash of the text as code, as in the fingerprints"),
    ],
)

ALL_SCHEMAS: tuple[pa.Schema, ...] = (
    DOCUMENT,
    CLEAN_DOCUMENT,
    PILE_DOCUMENT,
    QUARANTINE,
    FILTER_ATTRIBUTES,
    FINGERPRINT,
    DUPLICATE_ATTRIBUTES,
    CONTAMINATION_ATTRIBUTES,
    CORPUS_NGRAMS,
    COMPLETION,
    COMPUTATION,
    VERIFIED_COMPUTATION,
    NGRAM_OVERLAP,
    BENCHMARK_ITEM,
    LABEL,
    TEXTBOOK_SKETCH,
    TEXTBOOK_EDITION,
    TOKENS,
    PACKED_PIECE,
    SCORE,
    SCORE_ITEM,
    ABLATION_SCORE,
    TAKEN_DOWN,
)


class SchemaMismatch(ValueError):
    """Rows or a batch do not have exactly the columns and types of a schema."""


def schema_name(schema: pa.Schema) -> str:
    """Name and version of a schema of this module, e.g. ``document/1``.

    Raises:
        SchemaMismatch: the schema carries no name.
    """
    name = (schema.metadata or {}).get(SCHEMA_NAME_KEY)
    if name is None:
        raise SchemaMismatch("schema without a mathcode.schema name")
    return name.decode()


def batch_of(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    """Rows as one RecordBatch of exactly this schema.

    Raises:
        SchemaMismatch: a row has an unknown or a missing key, a wrong type, or null where the
            schema forbids it. Names the row and the column.
    """
    names = schema.names
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for number, row in enumerate(rows):
        if row.keys() != columns.keys():
            unknown, missing = sorted(row.keys() - columns.keys()), sorted(columns.keys() - row.keys())
            problem = f"unknown {unknown}, missing {missing}"
            raise SchemaMismatch(f"row {number} of {schema_name(schema)}: {problem}")
        for name in names:
            columns[name].append(row[name])
    arrays = []
    for field in schema:
        try:
            arrays.append(pa.array(columns[field.name], type=field.type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError) as error:
            raise SchemaMismatch(f"column {field.name} of {schema_name(schema)}: {error}") from error
    batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
    check_batch(batch, schema)
    return batch


def check_batch(batch: pa.RecordBatch, schema: pa.Schema) -> None:
    """Raise unless the batch has exactly the schema's names and types, and no forbidden null.

    Raises:
        SchemaMismatch: names the first column that is off.
    """
    if batch.schema.names != schema.names:
        raise SchemaMismatch(f"{schema_name(schema)} wants columns {schema.names}, got {batch.schema.names}")
    for field, column in zip(schema, batch.columns, strict=True):
        where = f"column {field.name} of {schema_name(schema)}"
        if column.type != field.type:
            raise SchemaMismatch(f"{where} wants {field.type}, got {column.type}")
        if not field.nullable and column.null_count:
            raise SchemaMismatch(f"{where}: {column.null_count} nulls")


def empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    """A batch of the schema with no rows."""
    return pa.RecordBatch.from_pylist([], schema=schema)


def iter_column(batches: Iterable[pa.RecordBatch], name: str) -> Iterator[Any]:
    """The Python values of one column, batch after batch."""
    for batch in batches:
        yield from batch.column(name).to_pylist()
