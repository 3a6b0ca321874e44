"""The tokenizer's files that go beside the exported weights: found, and checked, before the first step."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from mathcode_assets.training.packed import PackedData
from mathcode_assets.training.run_folder import write_json
from mathcode_assets.training.spec import JobSpec, SpecError

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
TOKENIZER_FILES = (
    TOKENIZER_FILE,
    CONFIG_FILE,
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)


def find_tokenizer(spec: JobSpec, data: PackedData) -> list[Path] | None:
    """The tokenizer's files: those the specification names, else the model's, else the packed folder's.

    None: the model is a repository id, whose tokenizer is fetched with it.

    Raises:
        SpecError: there are none, or tokenizer.json is not the one the data was packed with.
    """
    if spec.model.tokenizer is None and spec.model.path is not None and not Path(spec.model.path).is_dir():
        return None
    sources = [spec.model.tokenizer] if spec.model.tokenizer else [spec.model.path, str(data.folder)]
    for source in filter(None, sources):
        path = Path(source)
        files = [path] if path.is_file() else [path / name for name in TOKENIZER_FILES if (path / name).is_file()]
        for file in files:
            if file.name == TOKENIZER_FILE or len(files) == 1:
                found = hashlib.sha256(file.read_bytes()).hexdigest()
                if found != data.tokenizer_hash:
                    raise SpecError(f"model.tokenizer: {file} is {found[:12]}, packed with {data.tokenizer_hash[:12]}")
        if files:
            return files
    raise SpecError("model.tokenizer: is needed, neither the model nor the packed folder has a tokenizer")


def copy_tokenizer(spec: JobSpec, data: PackedData, target: Path) -> None:
    """Copy the tokenizer's files; where only tokenizer.json is known, write its configuration."""
    files = find_tokenizer(spec, data)
    if files is None:
        import transformers

        tokenizer = transformers.AutoTokenizer.from_pretrained(spec.model.path, revision=spec.model.revision)
        tokenizer.save_pretrained(target)
        return
    for file in files:
        shutil.copyfile(file, target / (TOKENIZER_FILE if len(files) == 1 else file.name))
    if not (target / CONFIG_FILE).exists():
        write_json(target / CONFIG_FILE, _tokenizer_config(data, target / TOKENIZER_FILE))


def _tokenizer_config(data: PackedData, tokenizer_file: Path) -> dict[str, Any]:
    tokens = json.loads(tokenizer_file.read_text(encoding="utf-8")).get("added_tokens", [])
    names = {token["id"]: token["content"] for token in tokens}
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": data.length}
    for role, token_id in (("eos_token", data.eos_id), ("pad_token", data.pad_id)):
        if token_id in names:
            config[role] = names[token_id]
    return config
