"""What deduplication needs to know of a document: the hash of its normal form and the keys of its bands.

A partition's fingerprints depend on nothing else, so they are made once and kept.
"""

from __future__ import annotations

import hashlib
import itertools
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mathcode_assets.deduplication import kernel
from mathcode_assets.deduplication.exact import CODE, HASH_BYTES, TextKind, content_hash
from mathcode_assets.records import BAND_KEYS_BYTES, FINGERPRINT


def fingerprint_documents(batches: Iterable[pa.RecordBatch], kind: TextKind) -> Iterator[pa.RecordBatch]:
    """FINGERPRINT rows, one for each document, in the same order and batches.

    Args:
        batches: of DOCUMENT, or any with the columns `doc_id` and `text`.
        kind: PROSE or CODE, see `DeduplicationConfig.kind_of`.
    """
    for batch in batches:
        texts = batch.column("text").cast(pa.large_string())
        hashes, bands = _hashes_and_bands(texts, kind)
        columns = [
            batch.column("doc_id").cast(pa.string()),
            pa.array(hashes, pa.binary(HASH_BYTES)),
            pc.utf8_length(texts).cast(pa.int64()),
            fixed_array(bands),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=FINGERPRINT)


def shingle_sets(texts: pa.Array, kind: TextKind) -> Iterator[np.ndarray]:
    """The set of shingles of each text: uint64 hashes, ascending, each once."""
    data, offsets = utf8_column(texts, kind)
    classes, nothing = _classes(kind), np.empty(0, np.uint8)
    found = np.empty(int(np.diff(offsets).max(initial=0)), np.uint64)
    for start, end in itertools.pairwise(offsets):
        _, count = kernel.fold_and_shingle(data, start, end, classes, nothing, found)
        shingles = np.sort(found[:count])
        yield shingles[np.flatnonzero(np.diff(shingles, prepend=~shingles[:1]))]


def utf8_column(texts: pa.Array, kind: TextKind) -> tuple[np.ndarray, np.ndarray]:
    """(bytes, offsets) of the texts as the kernel reads them: prose in NFC, nothing copied that is so already."""
    texts = texts.cast(pa.large_string())
    if not len(texts):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    if kind is not CODE:
        texts = _composed(texts)
    _, offsets, data = texts.buffers()
    borders = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8), borders


def fixed_bytes(column: pa.Array, width: int) -> np.ndarray:
    """A fixed-size binary column without nulls as an array of shape (rows, width), not copied."""
    if not len(column):  # an empty column may have no buffer to look into
        return np.empty((0, width), np.uint8)
    data = np.frombuffer(column.buffers()[1], dtype=np.uint8)
    start = column.offset * width
    return data[start : start + len(column) * width].reshape(len(column), width)


def fixed_array(rows: np.ndarray) -> pa.Array:
    """The other way round: uint8 of shape (rows, width) as a fixed-size binary column."""
    n_rows, width = rows.shape
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), n_rows, [None, pa.py_buffer(np.ascontiguousarray(rows))]
    )


def _hashes_and_bands(texts: pa.Array, kind: TextKind) -> tuple[list[bytes], np.ndarray]:
    data, offsets = utf8_column(texts, kind)
    is_code = kind is CODE
    folded = np.empty(0 if is_code else int(offsets[-1] - offsets[0]), np.uint8)
    ends = np.empty(len(texts), np.int64)
    bands = np.zeros((len(texts), BAND_KEYS_BYTES), np.uint8)
    kernel.fingerprint_rows(
        data, offsets, is_code, _classes(kind), kernel.MASKS, kernel.MULTIPLIERS, folded, ends, bands
    )
    if is_code:
        return [content_hash(text, kind) for text in texts.to_pylist()], bands
    whole, person = memoryview(folded), kind.name.encode()
    starts = [0, *ends.tolist()]
    hashes = [
        hashlib.blake2b(whole[start:end], digest_size=HASH_BYTES, person=person).digest()
        for start, end in itertools.pairwise(starts)
    ]
    return hashes, bands


def _classes(kind: TextKind) -> np.ndarray:
    return kernel.CODE_CLASSES if kind is CODE else kernel.PROSE_CLASSES


def _composed(texts: pa.Array) -> pa.Array:
    """The texts in NFC."""
    _, offsets, data = texts.buffers()
    if data is None:
        return texts
    borders = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    composed = np.empty(len(texts), dtype=bool)
    kernel.look_composed(np.frombuffer(data, np.uint8), borders, _starters(), composed)
    other = {}
    for row in np.flatnonzero(~composed).tolist():
        text = texts[row].as_py()
        if not unicodedata.is_normalized("NFC", text):
            other[row] = unicodedata.normalize("NFC", text)
    if not other:
        return texts
    composed[:] = True
    composed[list(other)] = False
    return pc.replace_with_mask(texts, pa.array(~composed), pa.array(list(other.values()), pa.large_string()))


@lru_cache(maxsize=1)
def _starters() -> np.ndarray:
    """Characters that no normalisation to NFC changes, whatever stands beside them; bool by code point of plane 0.

    Of the blocks where each character by itself tells: Latin, Greek, Cyrillic, punctuation, symbols, mathematics, CJK.
    Asking Python about every text with a character beyond ASCII took a third of the time of all fingerprints.
    """
    starters = np.zeros(1 << 16, dtype=bool)
    starters[:0x80] = True
    for start, end in ((0x80, 0x300), (0x370, 0x530), (0x1E00, 0x1F00), (0x2000, 0x2C00), (0x4E00, 0xA000)):
        for point in range(start, end):
            character = chr(point)
            starters[point] = not unicodedata.combining(character) and unicodedata.is_normalized("NFC", character)
    return starters
