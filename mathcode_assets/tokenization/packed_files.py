"""The folder of packed sequences: NumPy arrays that training maps, a side table of documents, and `packing.json`.

packing.json             what is in the folder, written last: without it there is no packing here
tokens-00000.npy         (n, length) uint16 or uint32, padded with pad_id
pieces-00000.npy         int32, lengths of the pieces of each sequence in order, one sequence after the other
offsets-00000.npy        int64 (n + 1), where in `pieces` each sequence begins
documents-00000.parquet  sequence, piece, doc_id, start: which document each piece is of
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from mathcode_assets.records import PACKED_PIECE
from mathcode_assets.storage.filesystem import Location, put_file, staged_file
from mathcode_assets.storage.manifest import digest
from mathcode_assets.storage.shards import write_shards
from mathcode_assets.tokenization.packing import PackingConfig, PackingCounts, pack_documents, token_dtype

PACKING_FILE = "packing.json"
FORMAT = 1
CODE_VERSION = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """What is packed.

    Attributes:
        corpus_fingerprint: changes with the token tables; the order of training is drawn from it.
        tokenizer: name@12 hex digits; tokenizer_hash: its SHA-256.
        vocab_size: one above the largest id.
        bos_id: None where documents have no begin.
    """

    corpus_fingerprint: str
    tokenizer: str
    tokenizer_hash: str
    vocab_size: int
    bos_id: int | None
    eos_id: int
    pad_id: int


def read_packing(folder: Location) -> dict[str, Any] | None:
    """The content of `packing.json`, or None where there is none.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return json.loads((folder / PACKING_FILE).read_bytes())
    except FileNotFoundError:
        return None


def write_packed(
    batches: Iterable[pa.RecordBatch], folder: Location, *, corpus: Corpus, config: PackingConfig
) -> dict[str, Any]:
    """Pack TOKENS rows into a folder, and return what `packing.json` says.

    Nothing is done where the folder holds just this packing. While it is made, the folder has no
    `packing.json`; files of an earlier packing that are not overwritten are removed at the end.

    Raises:
        ValueError: the stream has no token, or an id that the vocabulary has not.
    """
    recipe = digest([CODE_VERSION, asdict(corpus), asdict(config)])
    present = read_packing(folder)
    if present is not None and present.get("recipe") == recipe:
        return present
    (folder / PACKING_FILE).remove()
    counts = PackingCounts()
    shards: list[Mapping[str, Any]] = []
    for shard in pack_documents(batches, config, pad_id=corpus.pad_id, vocab_size=corpus.vocab_size, counts=counts):
        number = f"{len(shards):05d}"
        arrays = {"tokens": shard.tokens, "pieces": shard.pieces, "offsets": shard.offsets}
        names = {kind: f"{kind}-{number}.npy" for kind in arrays}
        for kind, array in arrays.items():
            with staged_file(folder) as staged:
                with staged.open("wb") as stream:
                    np.save(stream, array, allow_pickle=False)
                put_file(staged, folder / names[kind])
        names["documents"] = f"documents-{number}.parquet"
        with staged_file(folder) as staged:
            list(write_shards([shard.documents], PACKED_PIECE, new_path=iter([staged])))
            put_file(staged, folder / names["documents"])
        shards.append({**names, "n_sequences": shard.n_sequences})
    if not counts.n_sequences:
        raise ValueError("no document has a token")
    facts = {
        "format": FORMAT,
        "length": config.length,
        **asdict(counts),
        **asdict(corpus),
        "dtype": token_dtype(corpus.vocab_size).name,
        "recipe": recipe,
        "shards": shards,
    }
    _remove_others(folder, {name for shard in shards for name in shard.values() if isinstance(name, str)})
    (folder / PACKING_FILE).write_bytes((json.dumps(facts, indent=1) + "\n").encode())
    return facts


def _remove_others(folder: Location, named: set[str]) -> None:
    for entry in folder.list():
        ours = entry.name.split("-")[0] in ("tokens", "pieces", "offsets", "documents")
        if ours and entry.name.endswith((".npy", ".parquet")) and entry.name not in named:
            entry.remove()
