"""Documents to TOKENS rows: the stage around the encoder, which checks the compiled one against the library."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from mathcode_assets.records import TOKENS, check_batch
from mathcode_assets.tokenization.encoder import TextEncoder
from mathcode_assets.tokenization.special_tokens import SpecialTokenConfig


class EncodersDiffer(Exception):
    """The compiled encoder and the library give different ids; nothing it made in this run is to be trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizeConfig:
    """How documents are tokenised.

    Attributes:
        special: begin and end of a document.
        check_first: documents at the start of a stream that are encoded twice and compared.
        check_one_in: of the others one in so many, by the hash of its doc_id. One in 256 adds some 5 % of time.
        check_chars: no more of a document than this is compared.
    """

    special: SpecialTokenConfig = field(default_factory=SpecialTokenConfig)
    check_first: int = 16
    check_one_in: int = 256
    check_chars: int = 50_000


def tokenize_documents(
    batches: Iterable[pa.RecordBatch], encoder: TextEncoder, config: TokenizeConfig | None = None
) -> Iterator[pa.RecordBatch]:
    """TOKENS rows for rows with doc_id and text: the same rows in the same order.

    Raises:
        EncodersDiffer: on a document of the sample; call `encoder.use_library` and start the stream again.
    """
    config = config or TokenizeConfig()
    n_seen = 0
    for batch in batches:
        doc_ids, texts = batch.column("doc_id").to_pylist(), batch.column("text").to_pylist()
        if encoder.refused is None:
            _compare(doc_ids, texts, n_seen, encoder, config)
        n_seen += len(texts)
        yield token_batch(doc_ids, *encoder.encode(texts))


def token_batch(doc_ids: Sequence[str], ids: np.ndarray, offsets: np.ndarray) -> pa.RecordBatch:
    """TOKENS rows of flat ids and the offsets of each document in them."""
    tokens = pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), pa.array(ids, pa.uint32()), type=pa.list_(pa.uint32())
    )
    columns = [pa.array(doc_ids, pa.string()), pa.array(np.diff(offsets), pa.int32()), tokens]
    batch = pa.RecordBatch.from_arrays(columns, schema=TOKENS)
    check_batch(batch, TOKENS)
    return batch


def _compare(
    doc_ids: Sequence[str], texts: Sequence[str], n_before: int, encoder: TextEncoder, config: TokenizeConfig
) -> None:
    for number, (doc_id, text) in enumerate(zip(doc_ids, texts, strict=True), start=n_before):
        if number >= config.check_first and _draw(doc_id) % config.check_one_in:
            continue
        start = text[: config.check_chars]
        if not np.array_equal(encoder.encode_text(start), encoder.encode_by_library(start)):
            raise EncodersDiffer(f"document {doc_id}")


def _draw(doc_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(doc_id.encode(), digest_size=8).digest(), "big")
