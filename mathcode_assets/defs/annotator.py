"""The language model that annotates, where the sources file sets one up: `settings: {annotation: {...}}`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mathcode_assets.config import SourcesFileError
from mathcode_assets.defs.workspace import Workspace
from mathcode_assets.llm.generator import Generator
from mathcode_assets.llm.openai_compatible import OpenAICompatible, ServerConfig
from mathcode_assets.llm.replay import load_replay

API_KEY_VARIABLE = "OPENAI_API_KEY"
SERVER, REPLAY = "openai", "replay"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatorConfig:
    """Who annotates. Without a generator, classifiers trained on given labels stand in.

    generator: `openai` for any server of that protocol, `replay` for recorded answers, empty for none.
    model, model_revision: as the server names them; both are part of what makes a partition current.
    base_url: of the server; its key is taken from OPENAI_API_KEY.
    concurrency: requests under way at once.
    replay: local path of the recorded answers.
    """

    generator: str = ""
    model: str = ""
    model_revision: str = ""
    base_url: str = ""
    concurrency: int = 64
    replay: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotator:
    """A model to ask, and how it is named in recipes and verdicts."""

    config: AnnotatorConfig

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.config.model

    @property
    def model_revision(self) -> str:
        """Its revision, empty where unknown."""
        return self.config.model_revision

    def generator(self) -> Generator:
        """The backend, opened when something is asked."""
        if self.config.generator == REPLAY:
            return load_replay(Path(self.config.replay))
        key = os.environ.get(API_KEY_VARIABLE) or "none"
        server = ServerConfig(base_url=self.config.base_url, api_key=key, concurrency=self.config.concurrency)
        return OpenAICompatible(server)


def annotator_of(workspace: Workspace) -> Annotator | None:
    """The annotator of the sources file, or None.

    Raises:
        SourcesFileError: an unknown generator, or one without what it needs.
    """
    config = workspace.settings("annotation", AnnotatorConfig)
    if not config.generator:
        return None
    where = f"{workspace.sources.name}: settings.annotation"
    if config.generator not in (SERVER, REPLAY):
        raise SourcesFileError(f"{where}.generator: {config.generator!r} is neither {SERVER} nor {REPLAY}")
    needed = config.base_url if config.generator == SERVER else config.replay
    if not needed or not config.model:
        missing = "base_url" if config.generator == SERVER else "replay"
        raise SourcesFileError(f"{where}: {config.generator} needs model and {missing}")
    return Annotator(config=config)


def asks_a_model(workspace: Workspace) -> bool:
    """Whether annotating sends requests, whose rate and budget are those of one process.

    Raises:
        SourcesFileError: as `annotator_of`.
    """
    return annotator_of(workspace) is not None
