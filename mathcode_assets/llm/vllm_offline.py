"""A generator that runs the model in this process, with vLLM's offline engine: no server, full batches.

vLLM has two ways to end a whole job for one bad row, both of which are met here: a prompt longer than the
model's context raises for the entire call, so lengths are checked first; and a call takes as many prompts as
it is given, so it is given micro-batches. A batch the engine rejects is halved until the culprit is alone.

Greedy answers depend on what else is in the batch (measured: other kernels, other rounding), so an answer is
kept in a cache and never computed again. Everything the engine would add by itself is switched off: sampling
parameters are the request's and nothing of the model's ``generation_config``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mathcode_assets.llm.generator import FAILED, Completion, Message, Request, generator_name
from mathcode_assets.llm.meter import Meter

PROMPT_TOO_LONG = "prompt_too_long"
REJECTED = "rejected_by_engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """How vLLM is started; see its engine arguments of the same names."""

    model: str = ""  # a local folder, or a name it can fetch
    revision: str = ""
    dtype: str = "auto"
    max_model_len: int = 0  # tokens of prompt and answer; 0 is what the model says
    gpu_memory_utilization: float = 0.9
    tensor_parallel_size: int = 1  # each of these GPUs is paid for
    enforce_eager: bool = False
    micro_batch: int = 256  # requests a call; 64 gave 740 tokens/s on two CPU cores, a GPU wants hundreds
    ray_address: str = ""  # of a cluster, a worker of which loads the model; empty: this process does
    ray_gpus: float = -1.0  # that the worker must have; below 0: tensor_parallel_size
    ray_wait_s: float = 1800.0  # for the worker, whose machine may have to be started first, and for the model to load


@dataclass(frozen=True, slots=True)
class Generated:
    """What the engine made of one prompt."""

    text: str
    finish_reason: str
    completion_tokens: int


class Engine(Protocol):
    """What is needed of vLLM. ``generate`` raises ValueError or TypeError where it rejects a prompt."""

    max_model_len: int

    def prompt_tokens(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation by the model's chat template, ready for an answer."""
        ...

    def generate(self, prompts: Sequence[list[int]], requests: Sequence[Request]) -> list[Generated]:
        """Answers in the order of the prompts."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


@dataclass(slots=True)
class VllmOffline:
    """Answers with an engine that is opened when first needed and kept."""

    config: EngineConfig
    meter: Meter = field(default_factory=Meter, repr=False)
    open_engine: Callable[[EngineConfig], Engine] | None = None
    _engine: Engine | None = None

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """One completion for each request, in order, a micro-batch at a time.

        Raises:
            BudgetExhausted: the meter's budget allows no more.
            Exception: what the engine raises when it is broken, as opposed to given a bad prompt.
        """
        asked = iter(requests)
        following = next(asked, None)
        while following is not None:
            done: list[Completion | None] = []
            batch: list[_Asked] = []
            while following is not None and len(batch) < self.config.micro_batch:
                prompt = self._prompt(following)
                if isinstance(prompt, Completion):
                    self.meter.finish(prompt)
                    done.append(prompt)
                else:
                    attempt = self.meter.begin(following)
                    if attempt is None:  # wait for what this batch really costs
                        break
                    batch.append(_Asked(following, prompt, attempt, len(done)))
                    done.append(None)
                following = next(asked, None)
            for place, completion in self._answer(batch):
                done[place] = completion
            yield from (completion for completion in done if completion is not None)

    def close(self) -> None:
        """Drop the engine, and with it what it holds; the next request opens another."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _prompt(self, request: Request) -> list[int] | Completion:
        """The prompt's tokens, or the failure that it cannot be asked."""
        if self._engine is None:
            self._engine = (self.open_engine or open_vllm)(self.config)
        try:
            if request.response_schema:
                json.loads(request.response_schema)
            tokens = self._engine.prompt_tokens(request.messages)
        except (ValueError, TypeError, KeyError) as error:  # templates raise for roles they do not know
            return Completion(key=request.key, status=FAILED, error=f"{REJECTED}: {error}")
        n_needed = len(tokens) + request.parameters.max_tokens
        if n_needed > self._engine.max_model_len:
            error = f"{PROMPT_TOO_LONG}: {len(tokens)} + {request.parameters.max_tokens} tokens"
            return Completion(key=request.key, status=FAILED, error=f"{error} > {self._engine.max_model_len}")
        return tokens

    def _answer(self, batch: Sequence[_Asked]) -> Iterator[tuple[int, Completion]]:
        if not batch:
            return
        assert self._engine is not None
        start = time.monotonic()
        try:
            answers = self._engine.generate([asked.prompt for asked in batch], [asked.request for asked in batch])
        except (ValueError, TypeError) as error:
            if len(batch) > 1:
                middle = len(batch) // 2
                yield from self._answer(batch[:middle])
                yield from self._answer(batch[middle:])
                return
            (asked,) = batch
            failure = Completion(key=asked.request.key, status=FAILED, error=f"{REJECTED}: {error}", attempts=1)
            self.meter.finish(failure, asked.attempt)
            yield asked.place, failure
            return
        finally:
            self.meter.gpu_seconds((time.monotonic() - start) * self.config.tensor_parallel_size)
        for asked, answer in zip(batch, answers, strict=True):
            completion = Completion(
                key=asked.request.key,
                text=answer.text,
                finish_reason=answer.finish_reason,
                prompt_tokens=len(asked.prompt),
                completion_tokens=answer.completion_tokens,
                generator=generator_name(asked.request.model, asked.request.model_revision),
                attempts=1,
            )
            self.meter.finish(completion, asked.attempt)
            yield asked.place, completion


@dataclass(frozen=True, slots=True)
class _Asked:
    request: Request
    prompt: list[int]
    attempt: int
    place: int


def open_vllm(config: EngineConfig) -> Engine:
    """Load the model; takes 20 s and more.

    Raises:
        ModuleNotFoundError: vLLM is not installed in this environment.
    """
    from vllm import LLM

    arguments: dict[str, Any] = {
        "model": config.model,
        "dtype": config.dtype,
        "gpu_memory_utilization": config.gpu_memory_utilization,
        "tensor_parallel_size": config.tensor_parallel_size,
        "enforce_eager": config.enforce_eager,
        "generation_config": "vllm",
    }
    if config.revision:
        arguments["revision"] = config.revision
    if config.max_model_len:
        arguments["max_model_len"] = config.max_model_len
    return _Vllm(LLM(**arguments), config.max_model_len)


class _Vllm:
    def __init__(self, llm: Any, max_model_len: int) -> None:
        self._llm = llm
        self._tokenizer = llm.get_tokenizer()
        model = getattr(llm, "model_config", None) or llm.llm_engine.model_config
        self.max_model_len = max_model_len or int(model.max_model_len)

    def prompt_tokens(self, messages: Sequence[Message]) -> list[int]:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        # As text first: what tokenize=True returns has changed between versions of transformers.
        text = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def generate(self, prompts: Sequence[list[int]], requests: Sequence[Request]) -> list[Generated]:
        tokens: list[Mapping[str, list[int]]] = [{"prompt_token_ids": prompt} for prompt in prompts]
        sampling = [_sampling_of(request) for request in requests]
        answers = []
        for output in self._llm.generate(tokens, sampling, use_tqdm=False):
            (first,) = output.outputs
            answers.append(Generated(first.text, first.finish_reason or "", len(first.token_ids)))
        return answers

    def close(self) -> None:
        """The model's processes and memory go with it."""
        del self._llm


def _sampling_of(request: Request) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    parameters = request.parameters
    schema = json.loads(request.response_schema) if request.response_schema else None
    return SamplingParams(
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        max_tokens=parameters.max_tokens,
        seed=parameters.seed + request.sample_index,
        stop=list(parameters.stop) or None,
        structured_outputs=StructuredOutputsParams(json=schema) if schema is not None else None,
    )
