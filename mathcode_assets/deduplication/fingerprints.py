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

from mathcode_assets.deduplication import kernel, signatures
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
    nothing = np.empty(0, np.uint8)
    found = np.empty(int(np.diff(offsets).max(initial=0)), np.uint64)
    for part, borders in _read_ahead(data, offsets):
        for start, end in itertools.pairwise(borders.astype(np.uint64)):
            _, count = signatures.fold_and_shingle(part, start, end, kind is CODE, nothing, found)
            shingles = np.sort(found[: int(count)])
            yield shingles[: kernel.distinct(shingles)]


def utf8_column(texts: pa.Array, kind: TextKind) -> tuple[np.ndarray, np.ndarray]:
    """(bytes, offsets) of the texts as the kernel reads them: prose in NFC, nothing copied that is so already."""
    texts = texts.cast(pa.large_string())
    if not len(texts):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    if kind is not CODE:
        texts = _composed(texts)
    return _utf8(texts)


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
    n_bytes = 0 if is_code else int(offsets[-1] - offsets[0])
    folded = np.empty(n_bytes + signatures.WRITE_AHEAD, np.uint8)
    bands = np.zeros((len(texts), BAND_KEYS_BYTES), np.uint8)
    borders = np.zeros(len(texts) + 1, np.int64)
    row = 0
    for part, part_offsets in _read_ahead(data, offsets):
        end = row + len(part_offsets) - 1
        space, ends = folded[borders[row] :], borders[row + 1 : end + 1]
        signatures.fingerprint_rows(
            part, part_offsets, is_code, signatures.MASKS, signatures.MULTIPLIERS, space, ends, bands[row:end]
        )
        ends += borders[row]
        row = end
    if is_code:
        return [content_hash(text, kind) for text in texts.to_pylist()], bands
    whole, person = memoryview(folded), kind.name.encode()
    hashes = [
        hashlib.blake2b(whole[start:end], digest_size=HASH_BYTES, person=person).digest()
        for start, end in itertools.pairwise(borders.tolist())
    ]
    return hashes, bands


def _utf8(texts: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
    """(bytes, offsets) of texts, not copied and not to be written to, whoever made the buffers."""
    _, offsets, data = texts.buffers()
    borders = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return _read_only(np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)), _read_only(borders)


def _read_only(array: np.ndarray) -> np.ndarray:
    """The same array, of the one type that what is compiled is compiled for."""
    array.flags.writeable = False
    return array


def _read_ahead(data: np.ndarray, offsets: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(bytes, offsets) of the texts in one or two parts, with bytes behind each that may be read with it.

    Only the last texts, behind which the bytes end, are copied.
    """
    last = max(int(np.searchsorted(offsets, len(data) - signatures.READ_AHEAD, side="right")), 1)
    if last > 1:
        yield data, offsets[:last]
    if last < len(offsets):
        room = np.zeros(int(offsets[-1] - offsets[last - 1]) + signatures.READ_AHEAD, np.uint8)
        room[: -signatures.READ_AHEAD] = data[offsets[last - 1] : offsets[-1]]
        yield _read_only(room), _read_only(offsets[last - 1 :] - offsets[last - 1])


def _composed(texts: pa.Array) -> pa.Array:
    """The texts in NFC."""
    data, offsets = _utf8(texts)
    composed = np.empty(len(texts), dtype=bool)
    signatures.look_composed(data, offsets, _starters(), composed)
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
    """Characters that no normalisation to NFC changes, whatever stands beside them; bool by code point of two planes.

    Of the blocks where each character by itself tells: Latin, Greek, Cyrillic, Hebrew, Arabic, punctuation, symbols,
    mathematics, kana, CJK, Hangul syllables, presentation forms, emoji. Asking Python about every text with a character
    beyond ASCII took a third of the time of all fingerprints.
    """
    starters = np.zeros(1 << 17, dtype=bool)
    starters[:0x80] = True
    for start, end in (
        (0x80, 0x300), (0x370, 0x700), (0x1E00, 0x2C00), (0x3000, 0x3400), (0x4E00, 0xA000), (0xAC00, 0xD7A4),
        (0xF900, 0x10000), (0x1D400, 0x1D800), (0x1F000, 0x1FB00),
    ):  # fmt: skip
        # A line each: a line end joins nothing.
        alone = unicodedata.normalize("NFC", "\n".join(map(chr, range(start, end)))).split("\n")
        for point, character in enumerate(alone, start):
            starters[point] = character == chr(point) and not unicodedata.combining(character)
    return starters
