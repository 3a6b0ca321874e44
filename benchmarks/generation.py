"""CPU time that asking costs on our side, beside the bare client: ``python -m benchmarks.generation [N]``.

A loopback server in another process answers at once, so what is left is the client: OpenAI's package by
itself, all requests gathered; ours with retries, limits, breaker and ledger; ours with the request cache too;
and a second run that finds everything there. Milliseconds of CPU a request, of this process only.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mathcode_assets.llm.cache import Cached, RequestCache
from mathcode_assets.llm.chat import body_of
from mathcode_assets.llm.generator import Message, Parameters, Request
from mathcode_assets.llm.meter import Meter
from mathcode_assets.llm.openai_compatible import OpenAICompatible, ServerConfig

CONCURRENCY = 64
_ANSWER = (
    b'{"id":"1","object":"chat.completion","created":0,"model":"m","choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"' + b"x" * 2000 + b'"}}],'
    b'"usage":{"prompt_tokens":700,"completion_tokens":500,"total_tokens":1200}}'
)


def main(n: int) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    server = multiprocessing.get_context("fork").Process(target=_serve, args=(listening,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    requests = [_request(number) for number in range(n)]
    try:
        asyncio.run(_bare(url, requests[:100]))  # imports and warms up
        _measure("openai package, gathered", n, lambda: asyncio.run(_bare(url, requests)))
        _measure("generator", n, lambda: _generate(url, requests, None))
        with tempfile.TemporaryDirectory() as folder:
            _measure("generator with cache", n, lambda: _generate(url, requests, Path(folder)))
            _measure("all answers in the cache", n, lambda: _generate(url, requests, Path(folder)))
    finally:
        server.kill()
        server.join()


def _measure(name: str, n: int, run: Callable[[], int]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    assert run() == n
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name:28} {cpu / n * 1e3:7.2f} ms CPU a request  {n / wall:8.0f} requests/s")


def _generate(url: str, requests: list[Request], folder: Path | None) -> int:
    config = ServerConfig(base_url=url, concurrency=CONCURRENCY)
    if folder is None:
        return sum(answer.is_ok for answer in OpenAICompatible(config).generate(requests))
    with RequestCache(folder) as cache:
        meter = Meter(cache=cache)
        return sum(answer.is_ok for answer in Cached(OpenAICompatible(config, meter), meter).generate(requests))


async def _bare(url: str, requests: list[Request]) -> int:
    from openai import AsyncOpenAI

    gate = asyncio.Semaphore(CONCURRENCY)
    async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:

        async def ask(request: Request) -> bool:
            async with gate:
                answered = await client.chat.completions.create(**body_of(request))
                return bool(answered.choices[0].message.content)

        return sum(await asyncio.gather(*map(ask, requests)))


def _request(number: int) -> Request:
    return Request(
        messages=(Message(role="user", content=f"{number} " + "Let x be a number. " * 150),),
        model="m",
        parameters=Parameters(max_tokens=512),
        prompt_version="bench/1",
    )


def _serve(listening: socket.socket) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(_ANSWER)}\r\n\r\n".encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while header := await reader.readuntil(b"\r\n\r\n"):
            lines = header.lower().split(b"\r\n")
            size = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
            await reader.readexactly(size)
            writer.write(head + _ANSWER)

    async def serve() -> None:
        await (await asyncio.start_server(answer, sock=listening)).serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000)
