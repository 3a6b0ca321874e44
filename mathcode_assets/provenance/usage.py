"""Where documents went after the pile: the packed sequences that hold them, and the models trained on those.

A model names the fingerprint of the corpus that it was trained on. That corpus says of each of its sequences
which documents are in it, so containment is looked up and never guessed; where no packing with the fingerprint is
left, the answer is "unknown". Packings are looked for in the lake and beside the run folders, which keep the one
that each run read.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mathcode_assets.storage.catalog import iter_manifests
from mathcode_assets.storage.filesystem import Location
from mathcode_assets.storage.lake import FOLDER_SCHEMA, Lake

# Of a lake on a local disk; settings may name another folder.
RUNS_FOLDER = ".training"
FINISHED, UNFINISHED = "finished", "unfinished"
CONTAINS, FREE, UNKNOWN = "contains", "free", "unknown"
SEQUENCES_SHOWN = 8

_PIECES = "documents-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """A packed corpus that is still there.

    Attributes:
        place: table of the lake, or folder.
        corpus: its fingerprint.
        pieces: the Parquet files that say which document each piece is of.
    """

    place: str
    corpus: str
    pieces: tuple[Location, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model and what it was trained on.

    Attributes:
        name: table of the lake, or run folder.
        status: finished, or unfinished for a run that has not written its result.
        corpus: fingerprint of the packed corpus.
        steps: made; 0 where unfinished.
    """

    name: str
    status: str
    corpus: str
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Where some documents are.

    Attributes:
        sequences: by place of the packing and doc_id, the numbers of the sequences with a piece of it, ascending.
        models: each model with the doc_ids that it was trained on; None where that cannot be known any more.
    """

    sequences: Mapping[str, Mapping[str, tuple[int, ...]]]
    models: tuple[tuple[Model, frozenset[str] | None], ...]

    def of(self, doc_id: str) -> list[tuple[Model, str]]:
        """Each model, and whether it contains the document: contains, free or unknown."""
        return [
            (model, UNKNOWN if found is None else CONTAINS if doc_id in found else FREE) for model, found in self.models
        ]


def usage_of(lake: Lake, doc_ids: Collection[str], *, runs: Location | None = None) -> Usage:
    """The packed sequences and the models of a lake that hold these documents.

    Args:
        lake: with tables `tokens/packed`, `checkpoint/*`.
        doc_ids: documents of the pile.
        runs: the folder of run folders; by default `.training` in the lake, where it is local.

    Raises:
        ManifestError: a manifest of the lake cannot be read.
    """
    if runs is None and lake.root.is_local:
        runs = lake.root / RUNS_FOLDER
    packings, models = _published(lake)
    if runs is not None:
        packings += _kept_packings(runs)
        models += _runs(runs)
    wanted = pa.array(sorted(doc_ids), pa.string())
    sequences = {packing.place: _sequences(packing, wanted) for packing in packings}
    corpora = {packing.corpus: frozenset(sequences[packing.place]) for packing in packings}
    return Usage(
        sequences={place: found for place, found in sequences.items() if found},
        models=tuple((model, corpora.get(model.corpus)) for model in models),
    )


def render_usage(usage: Usage, doc_id: str) -> str:
    """The sequences and models of one document as lines like those of its trace; empty where there are none."""
    lines = []
    for place, found in usage.sequences.items():
        if doc_id in found:
            numbers = found[doc_id]
            more = f" and {len(numbers) - SEQUENCES_SHOWN} more" if len(numbers) > SEQUENCES_SHOWN else ""
            lines.append(f"{'packed':<16}  {place}  sequence {', '.join(map(str, numbers[:SEQUENCES_SHOWN]))}{more}")
    words = {CONTAINS: "trained on it", FREE: "not trained on it", UNKNOWN: "unknown: its packed corpus is gone"}
    for model, verdict in usage.of(doc_id):
        state = f"{model.steps} steps" if model.status == FINISHED else model.status
        lines.append(f"{'model':<16}  {model.name}  {state}: {words[verdict]}")
    return "".join(f"{line}\n" for line in lines)


def _published(lake: Lake) -> tuple[list[Packing], list[Model]]:
    """What the lake's manifests say: packed corpora, and checkpoints."""
    packings, models = [], []
    for manifest in iter_manifests(lake):
        corpus = manifest.facts.get("corpus_fingerprint")
        if manifest.schema != FOLDER_SCHEMA or not corpus:
            continue
        table = lake.table(manifest.key, manifest.partition)
        pieces = [table.location / file.name for file in manifest.files if _is_pieces(file.name)]
        if pieces:
            packings.append(Packing(place=manifest.key, corpus=corpus, pieces=tuple(pieces)))
        elif manifest.key.startswith("checkpoint/"):
            steps = int(manifest.facts.get("steps", 0))
            models.append(Model(name=manifest.key, status=FINISHED, corpus=corpus, steps=steps))
    return packings, models


def _kept_packings(runs: Location) -> list[Packing]:
    found = []
    for folder in (runs / "data").list():
        packing = _json(folder / "packing.json")
        if packing and packing.get("corpus_fingerprint"):
            pieces = tuple(file for file in folder.list() if _is_pieces(file.name))
            if pieces:
                found.append(Packing(place=f"data/{folder.name}", corpus=packing["corpus_fingerprint"], pieces=pieces))
    return found


def _runs(runs: Location) -> Iterator[Model]:
    for folder in (runs / "runs").list():
        result = _json(folder / "result.json")
        if result:
            corpus, steps = result.get("corpus_fingerprint"), int(result.get("steps", 0))
        else:
            started = _json(folder / "run.json") or {}
            corpus, steps = started.get("spec", {}).get("corpus_fingerprint"), 0
        if corpus:
            status = FINISHED if result else UNFINISHED
            yield Model(name=f"runs/{folder.name}", status=status, corpus=corpus, steps=steps)


def _sequences(packing: Packing, wanted: pa.Array) -> dict[str, tuple[int, ...]]:
    found: dict[str, set[int]] = {}
    for batch in _piece_batches(packing.pieces):
        held = batch.filter(pc.is_in(batch.column("doc_id"), wanted))
        rows = zip(held.column("doc_id").to_pylist(), held.column("sequence").to_pylist(), strict=True)
        for doc_id, sequence in rows:
            found.setdefault(doc_id, set()).add(sequence)
    return {doc_id: tuple(sorted(numbers)) for doc_id, numbers in sorted(found.items())}


def _piece_batches(files: Sequence[Location]) -> Iterable[pa.RecordBatch]:
    for file in files:
        with file.open() as stream:
            yield from pq.ParquetFile(stream).iter_batches(columns=["doc_id", "sequence"])


def _is_pieces(name: str) -> bool:
    last = name.rsplit("/", 1)[-1]
    return last.startswith(_PIECES) and last.endswith(".parquet")


def _json(file: Location) -> dict[str, Any] | None:
    """A JSON file, None where there is none or where it was cut short by a crash."""
    try:
        found = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return found if isinstance(found, dict) else None
