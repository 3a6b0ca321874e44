"""Who translates passages into computations, as the sources file sets it up: `settings: {generation: ..., translation: ...}`.

Without settings the rules of `mathematical_code.symbolic` do, which need no model. A model's answers are kept
in a request cache of the partition: on a local lake under `cache/`, else on this machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.llm.generator import Completion, Generator, Parameters, Request
from mathcode_assets.mathematical_code.passages import PassageConfig
from mathcode_assets.mathematical_code.prompts import PYTHON, SINGLE_CALL, TranslationConfig
from mathcode_assets.mathematical_code.symbolic import NAME as SYMBOLIC_NAME
from mathcode_assets.mathematical_code.symbolic import SymbolicTranslator

SYMBOLIC = "symbolic"


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslationSettings:
    """Section `translation`: the wording, the language of the programs, and how documents are cut."""

    prompt: str = SINGLE_CALL
    language: str = PYTHON
    passages: PassageConfig = field(default_factory=PassageConfig)


class Translator:
    """One partition's generator with its cache and ledger; open it with `generator`."""

    def __init__(self, config: TranslationConfig) -> None:
        self.config = config

    @contextmanager
    def generator(self) -> Iterator[Generator]:
        yield SymbolicTranslator()

    def close(self) -> None: ...

    def recipe(self) -> dict[str, Any]:
        """What decides the answers."""
        config = asdict(self.config)
        return {"translation": config, "prompt_version": self.config.prompt_version}

    def price(self, **tokens: int) -> Mapping[str, Any]:
        return {}

    def run_facts(self) -> Mapping[str, Any]:
        return {}


def translator_of(workspace: Workspace, key: str, partition: str) -> Translator:
    settings = workspace.settings("translation", TranslationSettings)
    name, revision = SYMBOLIC_NAME.split("@")
    return Translator(
        TranslationConfig(
            model=name, model_revision=revision, prompt=settings.prompt, language=settings.language, passages=settings.passages
        )
    )
