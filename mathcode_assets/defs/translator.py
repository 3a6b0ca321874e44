"""Who translates passages into computations, as the sources file sets it up.

    settings:
      generation: {generator: openai, base_url: "http://host:8000/v1", model: NAME, budget_price: 100}
      translation: {prompt: structured}

Without `generation` the rules of `mathematical_code.symbolic` translate, which need no model. What a model
answers is kept in a request cache of the partition, which belongs to the lake on a local root and to this
machine else (`generation_folder` of the workspace).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.llm.config import GeneratorConfig, Opener, open_generator
from mathcode_assets.llm.generator import Completion, Generator, Request, generator_name
from mathcode_assets.mathematical_code.passages import PassageConfig
from mathcode_assets.mathematical_code.prompts import PYTHON, SINGLE_CALL, TranslationConfig
from mathcode_assets.mathematical_code.symbolic import NAME as SYMBOLIC_NAME
from mathcode_assets.mathematical_code.symbolic import SymbolicTranslator

SYMBOLIC = "symbolic"
RULES: Mapping[str, Opener] = {SYMBOLIC: lambda config: SymbolicTranslator()}


class Unfinished(RuntimeError):
    """Some requests have no answer yet, but may get one: the table is not published before they are settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslationSettings:
    """Section `translation`: the wording, the language of the programs, and how documents are cut."""

    prompt: str = SINGLE_CALL
    language: str = PYTHON
    passages: PassageConfig = field(default_factory=PassageConfig)


class Translator:
    """How the passages of one partition are answered.

    Args:
        generation: who answers; no generator means the rules.
        settings: how it is asked.
        folder: of the partition's request cache.
    """

    def __init__(self, generation: GeneratorConfig, settings: TranslationSettings, folder: Path | None) -> None:
        self._generation = generation
        self._folder = folder
        self._told: dict[str, Any] = {}
        model, revision = generation.model, generation.model_revision
        if self.is_symbolic:
            model, revision = SYMBOLIC_NAME.split("@")
        self.config = TranslationConfig(
            model=model,
            model_revision=revision,
            prompt=settings.prompt,
            language=settings.language,
            passages=settings.passages,
            parameters=generation.parameters,
        )

    @property
    def is_symbolic(self) -> bool:
        """Whether rules answer, and no model."""
        return self._generation.generator in ("", SYMBOLIC)

    @property
    def name(self) -> str:
        """Who answers: model@revision, or the rules and their version."""
        return generator_name(self.config.model, self.config.model_revision)

    @contextmanager
    def generator(self) -> Iterator[Generator]:
        """The generator, open; what it was asked and what that cost are in `run_facts` afterwards.

        Raises:
            BudgetExhausted: the partition's budget is used up; what was answered is kept.
            Unfinished: at the end, where requests failed that may succeed in another run.
        """
        config = self._generation
        opened_as = GeneratorConfig(generator=SYMBOLIC) if self.is_symbolic else config
        with open_generator(opened_as, folder=self._folder, extra=RULES) as opened:
            unsettled = _Unsettled(opened.generator)
            try:
                yield unsettled
            finally:
                if not self.is_symbolic:
                    self._told = opened.summary()
            unsettled.check()

    def recipe(self) -> dict[str, Any]:
        """What decides the answers, for the table's recipe."""
        asked = {"prompt_version": self.config.prompt_version, "passages": asdict(self.config.passages)}
        return asked if self.is_symbolic else asked | self._generation.recipe

    def price(self, prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
        """What the answers of the table cost by its prices, whichever run paid them."""
        prices = self._generation.prices
        price = prices.of_tokens(prompt_tokens, completion_tokens)
        return {"price": round(price, 6), "currency": prices.currency} if price else {}

    def run_facts(self) -> Mapping[str, Any]:
        """Requests, attempts and spending of this run and of all runs; nothing for rules."""
        return self._told


@dataclass(slots=True)
class _Unsettled:
    """A generator whose passing failures are counted as they flow by."""

    generator: Generator
    n_failed: int = 0
    first_error: str = ""

    def generate(self, requests: Iterator[Request]) -> Iterator[Completion]:
        for completion in self.generator.generate(requests):
            if not completion.is_ok and completion.is_transient:
                self.n_failed += 1
                self.first_error = self.first_error or completion.error
            yield completion

    def check(self) -> None:
        if self.n_failed:
            raise Unfinished(
                f"{self.n_failed} requests have no answer yet, the first because of: {self.first_error}; what was "
                "answered is kept, and the next run asks only for these"
            )


def translator_of(workspace: Workspace, key: str, partition: str) -> Translator:
    """The translator of one partition of a completions table.

    Raises:
        SourcesFileError: settings that cannot be used.
    """
    generation = workspace.settings("generation", GeneratorConfig)
    settings = workspace.settings("translation", TranslationSettings)
    return Translator(generation, settings, workspace.generation_folder(key, partition))


def asks_a_model(workspace: Workspace) -> bool:
    """Whether translating sends requests or loads a model: their rates and memory are those of one process."""
    return workspace.settings("generation", GeneratorConfig).generator not in ("", SYMBOLIC)
