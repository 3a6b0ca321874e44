"""tokens/*: the pile as token ids, and packed into the sequences that training reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mathcode_assets.defs.assets.consolidated import input_versions
from mathcode_assets.defs.assets.mixture import PILE_KEY
from mathcode_assets.defs.assets.models import TOKENIZER
from mathcode_assets.defs.automation import BUILD_WHEN_CHANGED
from mathcode_assets.defs.checks import PADDING, rows_add_up, rows_of
from mathcode_assets.defs.table_assets import FolderBuild, LakeAsset, TableBuild, table_asset
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.records import TOKENS
from mathcode_assets.storage.filesystem import locate
from mathcode_assets.storage.manifest import Accounting, Recipe, digest
from mathcode_assets.tokenization.packing import PackingConfig
from mathcode_assets.tokenization.special_tokens import SpecialTokenConfig

if TYPE_CHECKING:
    from mathcode_assets.tokenization.encoder import TextEncoder
    from mathcode_assets.tokenization.packed_files import Corpus

CODE_VERSION = "1"
GROUP = "training"
TOKENS_KEY = "tokens/mathcode_pile"
PACKED_KEY = "tokens/packed"
TOKENIZER_FILE = "tokenizer.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizationSettings:
    """Section `tokenization` of the settings.

    tokenizer: local folder or tokenizer.json of the model to be trained; empty for the one trained here, which
        suits a model from scratch only.
    fast: the compiled encoder, checked against the library on a sample of the documents.
    length: tokens of a sequence; 4096 for all of the paper's models but Llama-3-8B, which has 8192.
    """

    tokenizer: str = ""
    fast: bool = True
    length: int = 4096
    special: SpecialTokenConfig = field(default_factory=SpecialTokenConfig)


def encoder_of(workspace: Workspace) -> TextEncoder:
    """The encoder of the settings.

    Raises:
        FileNotFoundError: the settings name a tokenizer that is not there.
        NotPublished: they name none, and none is promoted.
    """
    from mathcode_assets.tokenization.encoder import load_encoder

    settings = workspace.settings("tokenization", TokenizationSettings)
    path = settings.tokenizer or workspace.model_folder(TOKENIZER) / TOKENIZER_FILE
    return load_encoder(path, config=settings.special, fast=settings.fast)


@table_asset(
    TOKENS_KEY,
    group=GROUP,
    schema=TOKENS,
    deps=[PILE_KEY, f"promoted/{TOKENIZER}"],
    checks=[rows_add_up(TOKENS, rows_of(PILE_KEY))],
    kinds=frozenset({"parquet", "numba"}),
    automation=BUILD_WHEN_CHANGED,
)
def tokens(workspace: Workspace, partition: str) -> TableBuild:
    """One row is a document of the pile as token ids, with BOS and EOS once where the tokenizer has them.

    The compiled encoder is compared with the tokenizers library as it goes; where they differ the step fails
    and names the document (then set `tokenization: {fast: false}`).
    """
    pile = workspace.lake.table(PILE_KEY)
    encoder = encoder_of(workspace)
    counted = {"n_tokens": 0}

    def batches() -> Iterator[pa.RecordBatch]:
        from mathcode_assets.tokenization.documents import tokenize_documents

        for batch in tokenize_documents(pile.batches(columns=["doc_id", "text"]), encoder):
            counted["n_tokens"] += sum(batch.column("n_tokens").to_pylist())
            yield batch

    return TableBuild(
        recipe=Recipe(
            code_version=CODE_VERSION,
            inputs=input_versions(pile),
            config={"tokenizer": encoder.tokenizer_hash, "vocab_size": encoder.vocab_size, **asdict(encoder.special)},
        ),
        batches=batches,
        n_tokens=lambda: counted["n_tokens"],
        tokenizer=encoder.name,
    )


def described(encoder: TextEncoder, content: Any) -> Corpus:
    """What packed files say of their corpus; its fingerprint is the digest of `content`."""
    from mathcode_assets.tokenization.packed_files import Corpus

    return Corpus(
        corpus_fingerprint=digest(content),
        tokenizer=encoder.name,
        tokenizer_hash=encoder.tokenizer_hash,
        vocab_size=encoder.vocab_size,
        bos_id=encoder.special.bos_id,
        eos_id=encoder.special.eos_id,
        pad_id=encoder.special.pad_id,
    )


def pack_into(
    folder: Path, batches: Iterable[pa.RecordBatch], encoder: TextEncoder, *, corpus: Corpus, config: PackingConfig
) -> tuple[Accounting, Mapping[str, Any]]:
    """Write TOKENS batches packed, with the tokenizer beside them; counts and facts for the manifest."""
    from mathcode_assets.tokenization.packed_files import write_packed

    found = write_packed(batches, locate(str(folder)), corpus=corpus, config=config)
    (folder / TOKENIZER_FILE).write_bytes(encoder.data)
    names = ("n_sequences", "n_tokens", "n_padding", "n_cut_documents", "length", "corpus_fingerprint")
    return Accounting(n_in=found["n_documents"], n_kept=found["n_documents"]), {name: found[name] for name in names}


@table_asset(
    PACKED_KEY,
    group=GROUP,
    deps=[TOKENS_KEY],
    checks=[PADDING],
    kinds=frozenset({"numpy"}),
    automation=BUILD_WHEN_CHANGED,
)
def packed(workspace: Workspace, partition: str) -> FolderBuild:
    """The training sequences: documents packed whole wherever they fit, padded by at most a thousandth.

    Best fit within a window (arXiv 2404.10830); only documents longer than a sequence are cut. The folder says
    which document each piece is of, and holds the tokenizer.
    """
    table = workspace.lake.table(TOKENS_KEY)
    encoder = encoder_of(workspace)
    settings = workspace.settings("tokenization", TokenizationSettings)
    config = PackingConfig(length=settings.length)
    corpus = described(encoder, [encoder.tokenizer_hash, [table.manifest().data_version]])

    def make(folder: Path) -> tuple[Accounting, Mapping[str, Any]]:
        return pack_into(folder, table.batches(), encoder, corpus=corpus, config=config)

    return FolderBuild(
        recipe=Recipe(code_version=CODE_VERSION, inputs=input_versions(table), config=asdict(corpus) | asdict(config)),
        make=make,
    )


ASSETS: list[LakeAsset] = [tokens, packed]
