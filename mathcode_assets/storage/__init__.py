"""Tables and artifacts on storage: local folders and object stores by the same code.

    Lake("lake").publish("raw/cc_en", "cc_en.0000", schema=DOCUMENT, recipe=recipe, batches=batches)
    Lake("lake").table("raw/cc_en", "cc_en.0000").batches(columns=["doc_id", "text"])

A partition of a table is a folder `<root>/<key>/<partition>/` with Parquet files named by their
content and a `manifest.json`. Readers trust the manifest alone.
"""
