"""The `generation:` settings of a sources file, and the generator they open."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mathcode_assets.llm.batch_file import BatchFiles
from mathcode_assets.llm.budget import Budget
from mathcode_assets.llm.cache import MAX_ATTEMPTS, Cached, RequestCache
from mathcode_assets.llm.generator import Generator, Parameters, generator_name
from mathcode_assets.llm.ledger import Prices, summary
from mathcode_assets.llm.meter import Meter, Metered
from mathcode_assets.llm.openai_compatible import OpenAICompatible
from mathcode_assets.llm.replay import Replay, load_replay
from mathcode_assets.llm.server import ServerConfig
from mathcode_assets.llm.vllm_offline import EngineConfig, VllmOffline
from mathcode_assets.llm.vllm_on_ray import VllmOnRay

OPENAI, VLLM, BATCH, REPLAY = "openai", "vllm", "batch", "replay"
MODELS = frozenset({OPENAI, VLLM, BATCH})

Opener = Callable[["GeneratorConfig"], Generator]
_NO_EXTRA: Mapping[str, Opener] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How hard a server is asked; the names and defaults are those of `ServerConfig`."""

    concurrency: int = 64
    attempts: int = 5
    max_attempts: int = MAX_ATTEMPTS  # of one request over all runs, after which it is quarantined
    timeout_s: float = 600.0
    connect_timeout_s: float = 10.0
    requests_per_minute: float = 0.0
    tokens_per_minute: float = 0.0
    breaker_failures: int = 10
    breaker_deadline_s: float = 600.0
    token_limit_field: str = "max_tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorConfig:
    """Who answers, with what parameters, how fast and for how much.

    generator: `openai` for any server of that protocol, `vllm` for a model in this process, `batch` for batch
        files, `replay` for recorded answers, or a name the program adds, e.g. rules; empty for none.
    model, model_revision: as the server names them; for `vllm` a local folder or a name to fetch.
    engine: of `vllm`; with `ray_address` the model is loaded on a worker of that Ray cluster.
    base_url: of the server. Its key is read from the environment variable that ``api_key_env`` names.
    replay: recorded answers, a jsonl file or the folder of a request cache.
    budget_price, budget_tokens: the most that one partition may spend over all runs; 0 is no limit.
    """

    generator: str = ""
    model: str = ""
    model_revision: str = ""
    base_url: str = ""
    api_key_env: str = "OPENAI_API_KEY"
    replay: str = ""
    parameters: Parameters = field(default_factory=lambda: Parameters(max_tokens=2048))
    limits: Limits = field(default_factory=Limits)
    engine: EngineConfig = field(default_factory=EngineConfig)
    prices: Prices = field(default_factory=Prices)
    budget_price: float = 0.0
    budget_tokens: int = 0

    def __post_init__(self) -> None:
        if self.generator in MODELS and not self.model:
            raise ValueError(f"generator {self.generator} needs model")
        if self.generator in (OPENAI, BATCH) and not self.base_url:
            raise ValueError(f"generator {self.generator} needs base_url")
        if self.generator == REPLAY and not self.replay:
            raise ValueError("generator replay needs replay")

    @property
    def recipe(self) -> dict[str, Any]:
        """What decides the answers, and so belongs in the recipe of a table; not how fast or for how much."""
        return {
            "generator": self.generator,
            "model": generator_name(self.model, self.model_revision),
            "replay": self.replay,
            "parameters": asdict(self.parameters),
        }

    @property
    def server(self) -> ServerConfig:
        """For the backends that talk to a server, with the key from the environment."""
        limits = {name: value for name, value in asdict(self.limits).items() if name != "max_attempts"}
        key = os.environ.get(self.api_key_env) or "none"
        return ServerConfig(base_url=self.base_url, api_key=key, **limits)


@dataclass(frozen=True, slots=True)
class OpenedGenerator:
    """A generator ready to be asked, and the meter that counts."""

    generator: Generator
    meter: Meter
    prices: Prices

    def summary(self, n_verified: int | None = None) -> dict[str, float | int | str]:
        """Counts and prices for an asset's metadata; see `ledger.summary`."""
        return summary(run=self.meter.run, total=self.meter.total, prices=self.prices, n_verified=n_verified)


@contextmanager
def open_generator(
    config: GeneratorConfig, *, folder: Path | None = None, extra: Mapping[str, Opener] = _NO_EXTRA
) -> Iterator[OpenedGenerator]:
    """Open the generator of the settings, for one partition.

    Args:
        config: the settings.
        folder: local folder of the partition, in which the request cache is kept as ``cache`` and batch files
            as ``batch``; a model is not asked without one.
        extra: further generators by name. They are counted, not cached: rules cost nothing.

    Raises:
        ValueError: an unknown generator, or a model without a folder.
    """
    name = config.generator
    with ExitStack() as stack:
        if name in extra:
            meter = Meter()
            generator: Generator = Metered(extra[name](config), meter)
        elif name == REPLAY:
            meter, generator = _replaying(Path(config.replay), stack)
        elif name not in MODELS:
            known = ", ".join(sorted([*MODELS, REPLAY, *extra]))
            raise ValueError(f"generator {name!r} is unknown; known are {known}")
        elif folder is None:
            raise ValueError(f"generator {name} needs a folder for its request cache")
        else:
            cache = stack.enter_context(RequestCache(folder / "cache", max_attempts=config.limits.max_attempts))
            meter = Meter(cache=cache, budget=_budget_of(config))
            generator = Cached(_model_of(config, meter, folder, stack), meter)
        yield OpenedGenerator(generator, meter, config.prices)


def _budget_of(config: GeneratorConfig) -> Budget | None:
    if not config.budget_price and not config.budget_tokens:
        return None
    return Budget(price=config.budget_price, tokens=config.budget_tokens, prices=config.prices)


def _model_of(config: GeneratorConfig, meter: Meter, folder: Path, stack: ExitStack) -> Generator:
    if config.generator == OPENAI:
        return OpenAICompatible(config.server, meter)
    if config.generator == BATCH:
        return BatchFiles(folder / "batch", meter, token_limit_field=config.limits.token_limit_field)
    engine = replace(
        config.engine,
        model=config.engine.model or config.model,
        revision=config.engine.revision or config.model_revision,
    )
    offline = VllmOffline(engine, meter, open_engine=VllmOnRay if engine.ray_address else None)
    stack.callback(offline.close)
    return offline


def _replaying(path: Path, stack: ExitStack) -> tuple[Meter, Generator]:
    if path.is_dir():
        meter = Meter(cache=stack.enter_context(RequestCache(path)))
        return meter, Cached(Replay({}), meter)
    meter = Meter()
    return meter, Metered(load_replay(path), meter)
