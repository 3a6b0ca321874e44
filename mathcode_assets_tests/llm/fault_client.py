"""One run over all questions, as a process to be killed: ``python -m ... PORT CACHE OUTPUT N TIMEOUT_S``."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from mathcode_assets.llm.cache import Cached, RequestCache
from mathcode_assets.llm.generator import Message, Parameters, Request
from mathcode_assets.llm.meter import Meter
from mathcode_assets.llm.openai_compatible import OpenAICompatible, ServerConfig

CONCURRENCY = 16
MAX_ATTEMPTS = 8


def questions(n: int) -> Iterator[Request]:
    for number in range(n):
        kind = {17: "poison ", 101: "forbidden "}.get(number % 200, "")
        yield Request(
            messages=(Message(role="user", content=f"{kind}question {number}"),),
            model="m",
            parameters=Parameters(max_tokens=64),
            prompt_version="fault/1",
        )


def main(port: int, cache_folder: Path, output: Path, n: int, timeout_s: float) -> None:
    config = ServerConfig(
        base_url=f"http://127.0.0.1:{port}/v1",
        concurrency=CONCURRENCY,
        read_ahead=20,
        attempts=4,
        first_delay_s=0.02,
        max_delay_s=0.1,
        timeout_s=timeout_s,
        breaker_failures=8,
        breaker_probe_s=0.1,
        breaker_deadline_s=30,
    )
    with RequestCache(cache_folder, max_attempts=MAX_ATTEMPTS) as cache, output.open("w") as file:
        meter = Meter(cache=cache)
        for completion in Cached(OpenAICompatible(config, meter), meter).generate(questions(n)):
            file.write(json.dumps(dataclasses.asdict(completion)) + "\n")
            file.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
