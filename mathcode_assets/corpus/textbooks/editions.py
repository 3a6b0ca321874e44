"""Which books are copies or other editions of a book that stays: one global step over all sketches.

Three rules, the first two of the paper (MathCoder2 §2.1):

1. ``equal_text``: the texts are equal;
2. ``name_and_words``: Jaccard of the words of the file names above 0.4, and of the texts' words above 0.6;
3. ``shared_text``: whatever the names, the word 5-grams have a Jaccard of at least 0.4, or at least 0.6
   of the smaller text's are in the larger. **We deviate**: file names of editions need not be alike
   (``aata-original.pdf`` and ``aata-20150812.pdf`` share one word of three), and a chapter published by
   itself is in the book already. Two editions there have 0.67 and 0.81, other pairs 0.04 and 0.13 at
   most; even two volumes by one team have 0.03 and 0.08.

Books are taken in order of preference: most pages, then longest text, then shortest file name, then
name. A book stays unless it is like one that stays already, so no book is dropped for a chain of
likenesses, every ``duplicate_of`` stays, and the result does not depend on the order of the input.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa

from mathcode_assets.corpus.textbooks.sketches import containment, jaccard
from mathcode_assets.records import DROPPED, FILTER_ATTRIBUTES, KEPT, TEXTBOOK_EDITION, batch_of

EQUAL_TEXT = "equal_text"
NAME_AND_WORDS = "name_and_words"
SHARED_TEXT = "shared_text"

DUPLICATE_EDITION = "duplicate_edition"
DUPLICATE_LABEL = "duplicate_of:"


@dataclass(frozen=True, slots=True, kw_only=True)
class EditionConfig:
    """When two books are the same one. Similarities are in [0, 1]."""

    min_name_jaccard: float = 0.4  # MathCoder2 §2.1, exclusive
    min_word_jaccard: float = 0.6  # MathCoder2 §2.1, exclusive
    min_shingle_jaccard: float = 0.4  # ours, inclusive: see the module docstring
    min_shingle_containment: float = 0.6  # ours, inclusive
    # A containment read off fewer shared shingles is chance: two short notes share a licence line.
    min_shared_shingles: int = 50
    # A shingle (a name word) in more books than this is boilerplate and brings no pair to be compared.
    # Editions share hundreds of other shingles; the name rule needs a rarer word in common.
    max_books_for_a_key: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Book:
    doc_id: str
    name: str
    name_words: frozenset[str]
    n_pages: int
    n_chars: int
    text_hash: str
    words: np.ndarray
    shingles: np.ndarray

    @property
    def preference(self) -> tuple[int, int, int, str, str]:
        return (-self.n_pages, -self.n_chars, len(self.name), self.name, self.doc_id)


def find_editions(sketches: Iterable[pa.RecordBatch], config: EditionConfig | None = None) -> pa.RecordBatch:
    """Every book that goes (`records.TEXTBOOK_EDITION`), ordered by doc_id.

    ``sketches`` are those of all partitions, in any order; a doc_id that occurs twice counts once. Holds
    16 KiB a book and sorts them: 3 s and 0.4 GB for as many books as the paper has, 8,373 (measured).
    """
    config = config or EditionConfig()
    books = sorted({book.doc_id: book for book in _books(sketches)}.values(), key=lambda book: book.preference)
    likeness: dict[int, dict[int, tuple[str, float]]] = defaultdict(dict)
    for one, other in sorted(_candidate_pairs(books, config)):
        found = _alike(books[one], books[other], config)
        if found is not None:
            likeness[other][one] = found
    stays: set[int] = set()
    rows = []
    for at, book in enumerate(books):
        keeper = min((other for other in likeness[at] if other in stays), default=None)
        if keeper is None:
            stays.add(at)
            continue
        rule, similarity = likeness[at][keeper]
        rows.append(
            {
                "doc_id": book.doc_id,
                "duplicate_of": books[keeper].doc_id,
                "rule": rule,
                "similarity": similarity,
            }
        )
    return batch_of(sorted(rows, key=lambda row: row["doc_id"]), TEXTBOOK_EDITION)


def mark_editions(attributes: Iterable[pa.RecordBatch], editions: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Attributes (`records.FILTER_ATTRIBUTES`) with the books that go dropped as ``duplicate_edition``.

    Their labels gain ``duplicate_of:<doc_id>``. Rows dropped for another reason stay as they are.
    """
    duplicate_of = dict(
        zip(editions.column("doc_id").to_pylist(), editions.column("duplicate_of").to_pylist(), strict=True)
    )
    for batch in attributes:
        rows = batch.to_pylist()
        for row in rows:
            keeper = duplicate_of.get(row["doc_id"])
            if keeper is not None and row["verdict"] == KEPT:
                row["verdict"], row["reason"] = DROPPED, DUPLICATE_EDITION
                row["labels"] = [*row["labels"], f"{DUPLICATE_LABEL}{keeper}"]
        yield batch_of(rows, FILTER_ATTRIBUTES)


def _books(sketches: Iterable[pa.RecordBatch]) -> Iterator[_Book]:
    for batch in sketches:
        words, shingles = batch.column("word_sketch"), batch.column("shingle_sketch")
        rows = batch.drop_columns(["word_sketch", "shingle_sketch"]).to_pylist()
        for at, row in enumerate(rows):
            yield _Book(
                doc_id=row["doc_id"],
                name=row["source_file"],
                name_words=frozenset(row["name_words"]),
                n_pages=row["n_pages"],
                n_chars=row["n_chars"],
                text_hash=row["text_hash"],
                words=words[at].values.to_numpy(),
                shingles=shingles[at].values.to_numpy(),
            )


def _candidate_pairs(books: list[_Book], config: EditionConfig) -> set[tuple[int, int]]:
    """Pairs that some rule may join: equal hash, a name word in common, or enough shingles in common."""
    pairs: set[tuple[int, int]] = set()
    by_hash: dict[str, list[int]] = defaultdict(list)
    by_name: dict[str, list[int]] = defaultdict(list)
    for at, book in enumerate(books):
        by_hash[book.text_hash].append(at)
        for word in book.name_words:
            by_name[word].append(at)
    for group in by_hash.values():
        # Enough to join each copy to the one preferred most, however many there are.
        pairs.update((group[0], at) for at in group[1:])
    for group in by_name.values():
        if len(group) <= config.max_books_for_a_key:
            pairs.update(pair for pair in combinations(group, 2) if _names_alike(books, pair, config))
    pairs.update(_pairs_sharing_shingles(books, config))
    return pairs


def _names_alike(books: list[_Book], pair: tuple[int, int], config: EditionConfig) -> bool:
    one, other = (books[at].name_words for at in pair)
    return len(one & other) > config.min_name_jaccard * len(one | other)


def _pairs_sharing_shingles(books: list[_Book], config: EditionConfig) -> set[tuple[int, int]]:
    """Pairs of books whose sketches share at least one shingle that is no boilerplate."""
    if not books:
        return set()
    hashes = np.concatenate([book.shingles for book in books])
    owners = np.repeat(np.arange(len(books)), [len(book.shingles) for book in books])
    order = np.lexsort((owners, hashes))
    hashes, owners = hashes[order], owners[order]
    starts = np.flatnonzero(np.r_[True, hashes[1:] != hashes[:-1]]) if len(hashes) else np.array([], dtype=int)
    sizes = np.diff(np.r_[starts, len(hashes)])
    shared: dict[tuple[int, int], int] = defaultdict(int)
    for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
        if size <= config.max_books_for_a_key:
            for pair in combinations(owners[start : start + size].tolist(), 2):
                shared[pair] += 1
    return set(shared)


def _alike(one: _Book, other: _Book, config: EditionConfig) -> tuple[str, float] | None:
    """The rule that makes two books one, and what it measured; None if none does."""
    if one.text_hash == other.text_hash:
        return EQUAL_TEXT, 1.0
    union = one.name_words | other.name_words
    if len(one.name_words & other.name_words) > config.min_name_jaccard * len(union):
        similarity = jaccard(one.words, other.words)
        if similarity > config.min_word_jaccard:
            return NAME_AND_WORDS, similarity
    if len(np.intersect1d(one.shingles, other.shingles, assume_unique=True)) < config.min_shared_shingles:
        return None
    similarity, share = jaccard(one.shingles, other.shingles), containment(one.shingles, other.shingles)
    if similarity >= config.min_shingle_jaccard or share >= config.min_shingle_containment:
        return SHARED_TEXT, max(similarity, share)
    return None
