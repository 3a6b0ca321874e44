"""A small lake by hand for what stands at the end of the graph: a pile, its contamination, a checkpoint, answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from mathcode_assets.config import load_sources
from mathcode_assets.defs.table_assets import LakeAsset, Published
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.records import CLEAN_DOCUMENT, CONTAMINATION_ATTRIBUTES, DOCUMENT, PILE_DOCUMENT, batch_of
from mathcode_assets.storage.lake import WHOLE
from mathcode_assets.storage.manifest import Accounting, Recipe

PARTITION = "pages"
END = "<|endoftext|>"


@dataclass(frozen=True)
class EvaluatedLake:
    """A folder with sources.yaml, a source of one file, benchmarks, and the lake."""

    folder: Path

    def configure(self, **settings: Any) -> EvaluatedLake:
        """Write the sources file, and the files it names."""
        (self.folder / "benchmarks").mkdir(parents=True, exist_ok=True)
        (self.folder / f"{PARTITION}.jsonl").write_text('{"text": "x"}\n')
        text = {
            "root": "lake",
            "sources": {"open_web_math": {"uri": f"{PARTITION}.jsonl"}},
            "benchmarks": {"uri": "benchmarks/*"},
            "settings": settings,
        }
        (self.folder / "sources.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(text))))
        return self

    @property
    def workspace(self) -> Workspace:
        return Workspace(load_sources(self.folder / "sources.yaml"))

    def benchmark(self, name: str, rows: Iterable[Mapping[str, Any]]) -> EvaluatedLake:
        """A benchmark file of JSON lines."""
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (self.folder / "benchmarks" / f"{name}.jsonl").write_text(text)
        return self

    def publish(self, key: str, batch: pa.RecordBatch, *, partition: str = WHOLE, **facts: Any) -> None:
        """Rows as a table."""
        n_tokens = sum(batch.column("n_tokens").to_pylist()) if "n_tokens" in batch.schema.names else None
        workspace = self.workspace
        workspace.lake.publish(
            workspace.lake.table(key, partition),
            schema=batch.schema,
            recipe=Recipe(code_version="1"),
            batches=[batch],
            accounting=lambda n: Accounting(n_in=n, n_kept=n),
            n_tokens=None if n_tokens is None else lambda: n_tokens,
            facts=lambda: facts,
        )

    def publish_folder(self, key: str, files: Mapping[str, bytes] | Path, **facts: Any) -> None:
        """Files as a folder."""
        workspace = self.workspace
        with workspace.work_folder() as folder:
            if isinstance(files, Path):
                shutil.copytree(files, folder, dirs_exist_ok=True)
            else:
                for name, content in files.items():
                    (folder / name).write_bytes(content)
            workspace.lake.publish_folder(
                workspace.lake.table(key),
                folder=folder,
                recipe=Recipe(code_version="1"),
                accounting=Accounting(n_in=0, n_kept=0),
                facts=facts,
            )

    def make(self, asset: LakeAsset, partition: str = WHOLE) -> Published:
        """Publish an asset as its step does."""
        return asset.publish(self.workspace, partition)

    def rows(self, key: str, partition: str = WHOLE) -> list[dict[str, Any]]:
        """The rows of a published table."""
        return [row for batch in self.workspace.lake.table(key, partition).batches() for row in batch.to_pylist()]


def document(doc_id: str, text: str, *, row: int = 0) -> dict[str, Any]:
    """A row of DOCUMENT."""
    return {
        "doc_id": doc_id,
        "source": "open_web_math",
        "source_id": doc_id,
        "source_uri": f"http://127.0.0.1/{doc_id}",
        "source_file": f"{PARTITION}.jsonl",
        "source_row": row,
        "source_revision": "1",
        "licence": "CC0-1.0",
        "text": text,
        "source_metadata": "{}",
    }


def documents(rows: Iterable[Mapping[str, Any]]) -> pa.RecordBatch:
    return batch_of(rows, DOCUMENT)


def clean_documents(rows: Iterable[Mapping[str, Any]]) -> pa.RecordBatch:
    return batch_of([{**row, "n_tokens": len(row["text"].split())} for row in rows], CLEAN_DOCUMENT)


def pile_documents(doc_ids: Iterable[str]) -> pa.RecordBatch:
    more = {"component": "open_web_math", "n_tokens": 1, "repetition": 0}
    return batch_of([{**document(doc_id, "text"), **more} for doc_id in doc_ids], PILE_DOCUMENT)


def contamination(found: Mapping[str, Iterable[tuple[str, int, str]]]) -> pa.RecordBatch:
    """Attributes by doc_id: the items each document matches, with the match's verdict."""
    rows = []
    for doc_id, matches in found.items():
        listed = [
            {"benchmark": name, "question_index": index, "verdict": verdict, "score": 0.5, "evidence": "..."}
            for name, index, verdict in matches
        ]
        strongest = {"benchmark": None, "question_index": None, "score": 0.0, "evidence": None}
        rows.append({"doc_id": doc_id, "verdict": "clean", "matches": listed, **strongest})
    return batch_of(rows, CONTAMINATION_ATTRIBUTES)


def letter_tokenizer() -> Tokenizer:
    """One token a byte."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {END: 0, **{letter: number for number, letter in enumerate(letters, start=1)}}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    tokenizer.add_special_tokens([END])
    return tokenizer


def random_checkpoint(folder: Path, *, seed: int = 0) -> Path:
    """A Llama of random weights with one token a byte; needs transformers."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(seed)
    fast = PreTrainedTokenizerFast(tokenizer_object=letter_tokenizer(), eos_token=END, bos_token=END, pad_token=END)
    fast.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=257,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=1024,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "mathcode_training.json").write_text(json.dumps({"corpus_fingerprint": "c0ffee", "lineage": {}}))
    return folder
