"""vLLM's engine in an actor on a Ray worker: the model is where the GPUs are; requests, budget and cache stay here.

A worker that dies is replaced: the model is loaded again, and the batch that was under way is asked again. What was
answered is in the request cache by then. The actor, and with it the GPUs, is given back by `close`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mathcode_assets.engine.on_ray import RayUnreachable, connected
from mathcode_assets.llm.generator import Message, Request
from mathcode_assets.llm.vllm_offline import Engine, EngineConfig, Generated, open_vllm

# Of a worker, and of a call that was under way on it.
RESTARTS = 3


class VllmOnRay:
    """An `Engine` of which everything but the batches is elsewhere.

    Args:
        config: with `ray_address`.
        opens: what loads the model there.

    Raises:
        RayUnreachable: no cluster, no worker with the GPUs in time, or one that cannot load the model.
    """

    def __init__(self, config: EngineConfig, opens: Callable[[EngineConfig], Engine] = open_vllm) -> None:
        self._ray = connected(config.ray_address)
        n_gpus = config.tensor_parallel_size if config.ray_gpus < 0 else config.ray_gpus
        self._described = f"{config.model} on a worker with {n_gpus:g} GPUs of the Ray cluster at {config.ray_address}"
        hosted = self._ray.remote(num_gpus=n_gpus, max_restarts=RESTARTS, max_task_retries=RESTARTS)(_Hosted)
        self._actor = hosted.remote(config, opens)
        try:
            self.max_model_len = self._answer(self._actor.max_model_len.remote(), config.ray_wait_s)
        except BaseException:
            self.close()  # else it waits for its GPUs on
            raise

    def prompt_tokens(self, messages: Sequence[Message]) -> list[int]:
        """See `Engine`."""
        return self._answer(self._actor.prompt_tokens.remote(messages))

    def generate(self, prompts: Sequence[list[int]], requests: Sequence[Request]) -> list[Generated]:
        """See `Engine`."""
        return self._answer(self._actor.generate.remote(prompts, requests))

    def close(self) -> None:
        """Give the worker and its GPUs back."""
        self._ray.kill(self._actor)

    def _answer(self, reference: Any, timeout_s: float | None = None) -> Any:
        from ray import exceptions

        try:
            return self._ray.get(reference, timeout=timeout_s)
        except exceptions.GetTimeoutError:
            raise RayUnreachable(f"{self._described}: not there within {timeout_s:g} s") from None
        except exceptions.RayActorError as error:
            reason = " ".join(str(error).split())[-500:]
            raise RayUnreachable(f"{self._described}: the worker ended: {reason}") from None
        except exceptions.RayTaskError as error:
            if not isinstance(error.cause, BaseException):
                raise
            raise error.cause from None  # as the engine raised it: what it rejects is told by the kind


class _Hosted:
    """What runs on the worker."""

    def __init__(self, config: EngineConfig, opens: Callable[[EngineConfig], Engine]) -> None:
        self._engine = opens(config)

    def max_model_len(self) -> int:
        return self._engine.max_model_len

    def prompt_tokens(self, messages: Sequence[Message]) -> list[int]:
        return self._engine.prompt_tokens(messages)

    def generate(self, prompts: Sequence[list[int]], requests: Sequence[Request]) -> list[Generated]:
        return self._engine.generate(prompts, requests)
