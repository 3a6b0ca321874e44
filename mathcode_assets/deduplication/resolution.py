"""The global step of deduplication: which copy of each text stays, over all shards of all components.

1. `fingerprints.fingerprint_documents` maps each shard by itself: a hash and the band keys of each document.
2. `resolve` gathers the fingerprints of every shard, finds texts that are the same by their hash and texts that may be
   near by a band in common, reads those again and compares them, and decides.
3. It gives back DUPLICATE_ATTRIBUTES rows, shard by shard, each in its own row order.

How near two texts are never changes, so what was compared is kept (`Known`) by the texts' hashes: with it, a new shard
costs its own comparisons and a pass over the small rows of the others. Nothing else is taken over from the last time,
and which pairs are compared depends on the documents alone: the result is that of a full rebuild.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from mathcode_assets.deduplication.candidates import Crowded, all_pairs, pairs_of_new_texts
from mathcode_assets.deduplication.comparison import compare
from mathcode_assets.deduplication.config import DeduplicationConfig
from mathcode_assets.deduplication.texts import Corpus, Shard, ascending, read_hashes
from mathcode_assets.deduplication.verdicts import Verdicts

_INDEX_VERSION = 2  # which texts are compared follows from their signatures: one version more with each change of these
_INDEX, _HASHES, _PAIRS, _SIMILARITIES, _CROWD = (
    "index.json",
    "hashes.npy",
    "pairs.npy",
    "similarities.npy",
    "crowd.npy",
)
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


class ShardVerdicts(NamedTuple):
    """One shard's verdicts.

    digest: equal where the verdicts are, and the documents that stay for others are the same.
    changed: False where the previous index has this digest for the same rows: they need not be read then.
    batches: DUPLICATE_ATTRIBUTES in the shard's row order.
    """

    component: str
    partition: str
    digest: str
    changed: bool
    batches: Iterator[pa.RecordBatch]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What an index keeps: its shards' hashes, and every pair of texts that was compared.

    Attributes:
        settings: of the config, all that which pairs are compared depends on.
        shards: by (component, partition, version): first row in `hashes`, one past the last, digest of the verdicts.
        hashes: uint64[documents, 2], shards in order.
        pairs: uint64[pairs, 4], the two texts' hashes; similarities: float64 each.
        crowd: uint64[texts, 2], texts in crowded buckets.
    """

    settings: Mapping[str, Any]
    shards: Mapping[tuple[str, str, str], tuple[int, int, str]]
    hashes: np.ndarray
    pairs: np.ndarray
    similarities: np.ndarray
    crowd: np.ndarray


def resolve(
    shards: Iterable[Shard],
    *,
    work_dir: Path,
    config: DeduplicationConfig | None = None,
    previous: Path | None = None,
    index: Path | None = None,
) -> Iterator[ShardVerdicts]:
    """Verdicts of every shard, components in order of preference, then partitions by key.

    Of a cluster's documents those stay that come first by (component preference, partition key, row), see `verdicts`.
    The order in which shards are given does not matter. A row is known by its place, so a doc_id may occur many times.
    Every shard given comes back, also one without rows.

    Memory: some 40 bytes a document, 8 a candidate pair, and 200 MB. Disk: 170 bytes a text and 8 bytes a word of the
    candidates in `work_dir`, gone when the iterator ends or is closed.

    Args:
        shards: each once; at most 2^32 documents.
        work_dir: an existing local folder for scratch files.
        config: default `DeduplicationConfig()`.
        previous: an index that an earlier call wrote: what it compared is not compared again.
        index: an existing empty folder; filled before the first shard comes back. The same documents give the same
            bytes, with a previous index or without.

    Raises:
        ValueError: a component is not in `preference`, or a shard comes twice.
    """
    config = config or DeduplicationConfig()
    ordered = _in_order(shards, config)
    known = load_index(previous) if previous is not None else None
    if known is not None and known.settings != _settings(config):
        known = None
    corpus = _corpus(ordered, known)
    with tempfile.TemporaryDirectory(dir=work_dir, prefix="duplicates-") as folder:
        pairs, similarity, crowd = _compared(corpus, known, Path(folder), config)
    near = similarity >= config.threshold
    left, right = (pairs[near] >> _HALF).astype(np.int64), (pairs[near] & _LOW).astype(np.int64)
    verdicts = Verdicts(corpus, left, right, similarity[near])
    digests = [verdicts.digest(number) for number in range(len(ordered))]
    if index is not None:
        _save(index, config, corpus, digests, pairs, similarity, crowd)
    before = {name[:2]: (name[2], digest) for name, (_, _, digest) in known.shards.items()} if known else {}
    for number, shard in enumerate(ordered):
        changed = before.get(shard.name[:2]) != (shard.version, digests[number])
        yield ShardVerdicts(shard.component, shard.partition, digests[number], changed, verdicts.batches(number))


def load_index(folder: Path) -> Known | None:
    """What an index keeps; None where it is of another version of this program."""
    path = folder / _INDEX
    content = json.loads(path.read_text()) if path.exists() else {}
    if content.get("version") != _INDEX_VERSION:
        return None
    shards, first = {}, 0
    for component, partition, version, n_rows, digest in content["shards"]:
        shards[component, partition, version] = first, first + n_rows, digest
        first += n_rows
    arrays = [np.load(folder / name) for name in (_HASHES, _PAIRS, _SIMILARITIES, _CROWD)]
    hashes, pairs, similarities, crowd = arrays
    return Known(
        settings=content["settings"],
        shards=shards,
        hashes=hashes,
        pairs=pairs,
        similarities=similarities,
        crowd=crowd,
    )


def _in_order(shards: Iterable[Shard], config: DeduplicationConfig) -> list[Shard]:
    places = {component: place for place, component in enumerate(config.preference)}
    seen: set[tuple[str, str]] = set()
    given = list(shards)
    for shard in given:
        if shard.component not in places:
            raise ValueError(f"component {shard.component!r} is not in the preference {list(places)}")
        if shard.name[:2] in seen:
            raise ValueError(f"partition {shard.partition!r} of {shard.component} is given twice")
        seen.add(shard.name[:2])
    return sorted(given, key=lambda shard: (places[shard.component], shard.partition))


def _corpus(shards: list[Shard], known: Known | None) -> Corpus:
    """The documents; hashes of shards that are known are not read again."""
    hashes = [np.empty((0, 2), np.uint64)]
    for shard in shards:
        if known is not None and shard.name in known.shards:
            start, end, _ = known.shards[shard.name]
            hashes.append(known.hashes[start:end])
        else:
            hashes.append(read_hashes(shard))
    starts = np.cumsum([len(part) for part in hashes])
    return Corpus(shards, np.concatenate(hashes), starts)


def _compared(
    corpus: Corpus, known: Known | None, folder: Path, config: DeduplicationConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(candidate pairs ascending, their similarities, numbers of texts in crowded buckets)."""
    nothing = np.empty(0, np.uint64), np.empty(0), np.empty(0, np.uint64)
    if not config.near:
        return nothing
    old_pairs, old_similarity = _surviving(corpus, known) if known else nothing[:2]
    pairs: np.ndarray | None = None
    crowd = nothing[2]
    if known is not None and not _crowd_changed(corpus, known):
        is_new = np.array([shard.name not in known.shards for shard in corpus.shards], dtype=bool)
        crowd = np.sort(corpus.find(known.crowd)).astype(np.uint64)
        try:
            pairs = ascending(np.concatenate([old_pairs, pairs_of_new_texts(corpus, is_new, config)]))
        except Crowded:
            pairs = None
    if pairs is None:
        pairs, crowd = all_pairs(corpus, folder / "keys", config)
    similarity = np.empty(len(pairs))
    place = np.minimum(np.searchsorted(old_pairs, pairs), max(len(old_pairs) - 1, 0))
    is_known = old_pairs[place] == pairs if len(old_pairs) else np.zeros(len(pairs), dtype=bool)
    similarity[is_known] = old_similarity[place[is_known]]
    similarity[~is_known] = compare(corpus, pairs[~is_known], folder / "sets.u64", config)
    return pairs, similarity, crowd


def _surviving(corpus: Corpus, known: Known) -> tuple[np.ndarray, np.ndarray]:
    """The known pairs of which both texts are still there, by their numbers now, ascending; and how near they are."""
    one, other = corpus.find(known.pairs[:, :2]), corpus.find(known.pairs[:, 2:])
    both = (one >= 0) & (other >= 0)
    low, high = np.minimum(one, other)[both].astype(np.uint64), np.maximum(one, other)[both].astype(np.uint64)
    pairs = low << _HALF | high
    order = np.argsort(pairs)
    return pairs[order], known.similarities[both][order]


def _crowd_changed(corpus: Corpus, known: Known) -> bool:
    """Whether a text of a crowded bucket gained or lost a document: which texts lead the crowd may have changed."""
    if not len(known.crowd):
        return False
    names = {shard.name for shard in corpus.shards}
    changed = [known.hashes[start:end] for name, (start, end, _) in known.shards.items() if name not in names]
    for number, shard in enumerate(corpus.shards):
        if shard.name not in known.shards:
            changed.append(corpus.hashes[corpus.starts[number] : corpus.starts[number + 1]])
    halves = np.concatenate([np.empty((0, 2), np.uint64), *changed])
    # By the first half alone: at worst everything is looked at once more.
    return bool(np.isin(known.crowd[:, 0], halves[:, 0]).any())


def _settings(config: DeduplicationConfig) -> dict[str, Any]:
    """All of the config but the threshold, which decides nothing about which pairs are compared."""
    settings = {name: value for name, value in asdict(config).items() if name != "threshold"}
    return dict(json.loads(json.dumps(settings)))


def _save(
    folder: Path,
    config: DeduplicationConfig,
    corpus: Corpus,
    digests: list[str],
    pairs: np.ndarray,
    similarity: np.ndarray,
    crowd: np.ndarray,
) -> None:
    sizes = np.diff(corpus.starts).tolist()
    shards = [[*shard.name, size, digest] for shard, size, digest in zip(corpus.shards, sizes, digests, strict=True)]
    content = {"version": _INDEX_VERSION, "settings": _settings(config), "shards": shards}
    (folder / _INDEX).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    one, other = corpus.hashes[(pairs >> _HALF).astype(np.int64)], corpus.hashes[(pairs & _LOW).astype(np.int64)]
    swap = (one[:, 0] > other[:, 0]) | ((one[:, 0] == other[:, 0]) & (one[:, 1] > other[:, 1]))
    one[swap], other[swap] = other[swap], one[swap]
    order = np.lexsort((other[:, 1], other[:, 0], one[:, 1], one[:, 0]))
    np.save(folder / _HASHES, corpus.hashes)
    np.save(folder / _PAIRS, np.concatenate([one, other], axis=1)[order])
    np.save(folder / _SIMILARITIES, similarity[order])
    leaders = corpus.hashes[crowd.astype(np.int64)]
    np.save(folder / _CROWD, leaders[np.lexsort((leaders[:, 1], leaders[:, 0]))])
