"""docs/data-model.md: every table's columns, read from records.py.

python -m docs.refresh_readme writes it.
"""

from __future__ import annotations

import pyarrow as pa

from mathcode_assets.records import ALL_SCHEMAS, FIELD_DOC_KEY, schema_name

# Which tables have the schema, and what one row is.
TABLES = {
    "document": ("`raw/*`, `filtered/*`", "a document, with where it came from"),
    "clean_document": ("`clean/*`", "a document that goes into the mixture"),
    "pile_document": ("`mixture/mathcode_pile`", "a document of the pile"),
    "quarantine": ("`quarantine/*`", "a record that could not be read, and why"),
    "filter_attributes": ("`attributes/<component>`", "what a filter found of the document in the same row"),
    "fingerprint": ("`attributes/fingerprints/*`", "all that deduplication needs to know of a document"),
    "duplicate_attributes": ("`attributes/duplicates/*`", "the verdict of deduplication on a document"),
    "contamination_attributes": ("`attributes/contamination/*`", "the verdict of decontamination on a document"),
    "corpus_ngrams": ("`index/ngrams/*`", "a stretch of documents, and which n-grams each of them holds"),
    "completion": ("`completions/*`", "one request for one passage, and its answer"),
    "computation": ("written by `mathcode translate`", "a computation as the answer states it"),
    "verified_computation": ("`computations/*`", "a computation with its execution and its verdict"),
    "ngram_overlap": ("written by `mathcode ngram-overlap`", "one component, one benchmark and one n"),
    "benchmark_item": ("read into `index/benchmarks`", "a question that must not be in the pile"),
    "label": ("read from the `labels` of a source", "a given label of one record"),
    "textbook_sketch": ("`attributes/textbooks_sketches`", "enough of a book to tell its editions"),
    "tokens": ("`tokens/mathcode_pile`, and written by `mathcode tokenize`", "a document as token ids"),
    "packed_piece": ("beside the sequences of `mathcode pack`", "a piece of a document in a training sequence"),
    "textbook_edition": ("inside `index/textbook_editions`", "a book that is an edition of another"),
    "score": ("`scores/*`, `ablation/runs`, and written by `mathcode evaluate`", "one model and one benchmark"),
    "score_item": ("`scores/items`", "one item with the model's completion and its verdict"),
    "ablation_score": ("`ablation/table`", "one composition of the data, one benchmark and one measure"),
    "taken_down": ("`takedown/requests`, `takedown/found`", "a document that a request took down, and why"),
}


def render() -> str:
    """One table of columns for each schema, in the order of records.py."""
    return "\n\n".join(_section(schema) for schema in ALL_SCHEMAS)


def _section(schema: pa.Schema) -> str:
    name = schema_name(schema)
    where, row = TABLES[name.split("/")[0]]
    lines = [f"### {name}", "", f"{where[0].upper()}{where[1:]}; one row is {row}.", ""]
    lines += ["| column | type | meaning |", "|---|---|---|"]
    lines += [f"| `{field.name}` | {_type(field)} | {_meaning(field)} |" for field in schema]
    return "\n".join(lines)


def _type(field: pa.Field) -> str:
    dtype = field.type
    shown = f"list of {dtype.value_type}" if pa.types.is_list(dtype) else str(dtype)
    if pa.types.is_list(dtype) and pa.types.is_struct(dtype.value_type):
        shown = "list of struct: " + ", ".join(f"{f.name} {f.type}" for f in dtype.value_type)
    return shown + (", nullable" if field.nullable else "")


def _meaning(field: pa.Field) -> str:
    return (field.metadata or {}).get(FIELD_DOC_KEY, b"").decode().replace("|", "\\|")
