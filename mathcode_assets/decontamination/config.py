"""Thresholds of the decontamination stage, each with where it comes from.

"Tuned" means: chosen on the first half of a probe set planted by seed in real documents
(`decontamination.self_test` makes such sets) and confirmed on the other half.
"""

from __future__ import annotations

from dataclasses import dataclass

GRAM = 5  # tokens; verified recall 100 % on verbatim, 13-grams lose a third where numbers change
SHORT_GRAM = 3  # for questions too short to hold a 5-gram


@dataclass(frozen=True, slots=True, kw_only=True)
class DecontaminationConfig:
    """What counts as a benchmark question inside a document."""

    # --- index ---
    max_gram_items: int = 64  # a masked n-gram in more items is a template: it must then match exactly
    max_exact_items: int = 256  # an n-gram in more items says nothing about any of them
    prefix_share: float = 0.8  # an opening or ending common to this share of a benchmark is an instruction
    prefix_tokens: int = 4  # ... if it is at least this long: "Find the" is language
    min_tokens: int = 3  # below, a question has no content of its own ("0 * 2.06")

    # --- candidates ---
    candidate_share: float = 0.2  # of the item's n-gram weight anywhere in the document; tuned for 1 edit in 8 words
    chain_share: float = 0.18  # the same, in one place
    gap_tokens: int = 400  # between two halves of one question; further apart they are joined by their union
    max_alignments: int = 48  # for one item in one stretch of document, best n-gram evidence first ...
    exact_share: float = 0.3  # ... and, after so many in one document, only with this share of unmasked n-grams

    # --- verdict; weights are nats (idf of a token times the rarity of the n-grams around it) ---
    short_tokens: int = 13  # below, the question must be there word for word (issue: about 570 in MATH)
    near_coverage: float = 0.6  # of the item's token weight, other numbers in their places counted as there
    near_words: float = 0.5  # ... and of the weight of its words: two lists of numbers are not near
    near_shared_words: int = 4  # different ones
    near_information: float = 12.0  # nats
    contaminated_coverage: float = 0.7  # tuned: single-word edits keep 0.8, a shared theorem 0.5
    contaminated_words: float = 0.6  # of the weight of its words
    union_coverage: float = 0.85  # of parts that lie further apart than `gap_tokens`, taken together
    union_tokens: int = 8  # each of them this long
    min_words: int = 6  # an item with fewer is a formula: it must be there whole, or cut
    complete_information: float = 12.0  # nats, where every token is there
    whole_pieces: int = 6  # ... in so many places at most: sentences spread over cells
    partial_information: float = 25.0  # nats, where some are missing
    partial_pieces: int = 3  # and fewer places then, or common words find a partner in any text
    extra_numbers: int = 1  # one may be a label between two lines; two are another formula
    cut_share: float = 0.58  # of the tokens, for an item cut at 70 % of its words
    cut_rest: float = 0.4  # of the tokens after the cut may have found some partner in the host's text
    cut_information: float = 14.0  # nats
    short_information: float = 22.0  # nats; with less a short question needs its answer, or its own line
    answer_window: int = 80  # tokens after it in which its answer counts as near
    trivial_information: float = 14.0  # nats; a short question with less needs both
    trivial_with_numbers: float = 8.2  # the same for one with numbers in it, all of which must be there
    trivial_answer_window: int = 20  # the same for a trivial question, whose answer is near by chance
    evidence_characters: int = 600
