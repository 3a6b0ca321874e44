"""An HTTP proxy on loopback between a client and an S3 server: counts requests, and spoils some of them.

    with faulty_proxy(server.endpoint, Faults(seed=7)) as proxy:
        ...  # AWS_ENDPOINT_URL = proxy.endpoint
    proxy.requests, proxy.given

Every second request of a kind (a GET, a PUT, a part of an upload, ...) is spoiled, in each way once, in an order that
the seed gives: what is asked again is answered, and nothing is left untried.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread
from urllib.parse import parse_qs, urlsplit

KINDS = ("get", "head", "list", "put", "begin", "part", "complete", "abort", "delete")
# error_500, error_503, slow_down: an answer of the store, which has not looked at the request.
# lost_request: the connection ends in the middle of the request. slow: the answer takes a while.
# lost_answer: the request was done, and its answer breaks off in the middle, or does not come.
# Besides, by name alone: silent, no answer at all for longer than a client waits.
FAULTS = ("error_500", "error_503", "slow_down", "lost_request", "lost_answer", "slow")
STATUS = {
    "error_500": ("500 Internal Server Error", "InternalError", "We encountered an internal error."),
    "error_503": ("503 Service Unavailable", "ServiceUnavailable", "Please try again."),
    "slow_down": ("503 Slow Down", "SlowDown", "Please reduce your request rate."),
}
SLOW_S, SILENT_S = 0.3, 5.0
_MOST_HEAD_BYTES = 1 << 20


@dataclass(slots=True)
class Faults:
    """Which requests are spoiled, and how.

    every: of a kind, the first and then each so many-th, until each fault was given once; kinds: which kinds.
    """

    seed: int
    every: int = 2
    kinds: tuple[str, ...] = KINDS
    faults: tuple[str, ...] = FAULTS
    _seen: Counter[str] = field(default_factory=Counter)
    _decks: dict[str, list[str]] = field(default_factory=dict)

    def next(self, kind: str) -> str | None:
        """What happens to the next request of a kind; None for nothing."""
        self._seen[kind] += 1
        if kind not in self.kinds or (self._seen[kind] - 1) % self.every:
            return None
        if kind not in self._decks:
            self._decks[kind] = list(self.faults)
            random.Random(f"{self.seed}/{kind}").shuffle(self._decks[kind])
        return self._decks[kind].pop() if self._decks[kind] else None


@dataclass(slots=True)
class FaultyProxy:
    """A running proxy.

    Attributes:
        endpoint: its address.
        faults: None for counting alone.
        requests: number by kind, also of those that were spoiled.
        given: number by kind and fault.
        sent_bytes: of request bodies that the store was given.
        under_way: requests that came and are not answered yet, also those whose client is gone.
    """

    target: tuple[str, int]
    faults: Faults | None
    endpoint: str = ""
    requests: Counter[str] = field(default_factory=Counter)
    given: Counter[tuple[str, str]] = field(default_factory=Counter)
    sent_bytes: int = 0
    under_way: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection."""
        # Cancelled when the proxy ends, while it waits for what a client that stays connected asks next.
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._exchange(reader, writer):
                pass
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Pass one request on and its answer back; False where the connection ends."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.under_way += 1
        try:
            return await self._pass_on(head, reader, writer)
        finally:
            self.under_way -= 1

    async def _pass_on(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        method, target = head.split(b" ", 2)[:2]
        headers = _headers(head)
        kind = kind_of(method.decode(), target.decode())
        self.requests[kind] += 1
        fault = self.faults.next(kind) if self.faults else None
        if fault:
            self.given[kind, fault] += 1
        if headers.get("expect"):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"expect:"))
        length = int(headers.get("content-length", "0"))
        if fault == "lost_request":
            await reader.readexactly(length // 2)
            return False
        body = await _body(reader, headers)
        if fault in STATUS:
            writer.write(_answer(*STATUS[fault], is_head=method == b"HEAD"))
            await writer.drain()
            return True
        if fault == "slow":
            await asyncio.sleep(SLOW_S)
        if fault == "silent":
            await asyncio.sleep(SILENT_S)
            return False
        self.sent_bytes += len(body)
        answer, content, goes_on = await self._ask(method, head + body)
        if fault == "lost_answer":
            if content:
                writer.write(answer + content[: len(content) // 2])
                await writer.drain()
            return False
        writer.write(answer + content)
        await writer.drain()
        return goes_on

    async def _ask(self, method: bytes, request: bytes) -> tuple[bytes, bytes, bool]:
        """The head and the body of the store's answer, and whether its length is known."""
        reader, writer = await asyncio.open_connection(*self.target, limit=_MOST_HEAD_BYTES)
        try:
            writer.write(request)
            await writer.drain()
            answer = await reader.readuntil(b"\r\n\r\n")
            while answer.split(b" ", 2)[1] == b"100":
                answer = await reader.readuntil(b"\r\n\r\n")
            headers = _headers(answer)
            if method == b"HEAD" or answer.split(b" ", 2)[1] in (b"204", b"304"):
                return answer, b"", True
            if "content-length" in headers or "chunked" in headers.get("transfer-encoding", ""):
                return answer, await _body(reader, headers), True
            return answer, await reader.read(), False
        finally:
            writer.close()


@contextmanager
def faulty_proxy(endpoint: str, faults: Faults | None = None) -> Iterator[FaultyProxy]:
    """A proxy in front of an endpoint, in a thread of its own, gone when the block ends."""
    address = urlsplit(endpoint)
    assert address.hostname and address.port
    proxy = FaultyProxy(target=(address.hostname, address.port), faults=faults)
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=_MOST_HEAD_BYTES))
    proxy.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def kind_of(method: str, target: str) -> str:
    """What kind of request it is, of `KINDS`."""
    query = parse_qs(urlsplit(target).query, keep_blank_values=True)
    if method == "PUT":
        return "part" if "partNumber" in query else "put"
    if method == "POST":
        return "begin" if "uploads" in query else "complete" if "uploadId" in query else "delete"
    if method == "DELETE":
        return "abort" if "uploadId" in query else "delete"
    if method == "GET":
        return "list" if "list-type" in query or "uploads" in query else "get"
    return "head"


def _headers(head: bytes) -> dict[str, str]:
    lines = (line.partition(b":") for line in head.split(b"\r\n")[1:] if line)
    return {name.decode().strip().lower(): value.decode("latin-1").strip() for name, _, value in lines}


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    """The body as it stands on the wire."""
    if "chunked" not in headers.get("transfer-encoding", ""):
        return await reader.readexactly(int(headers.get("content-length", "0")))
    chunks = []
    while True:
        size = await reader.readuntil(b"\r\n")
        chunk = await reader.readexactly(int(size.split(b";")[0], 16) + 2)
        chunks += [size, chunk]
        if size.split(b";")[0].strip(b"0\r\n ") == b"":
            return b"".join(chunks)


def _answer(status: str, code: str, message: str, *, is_head: bool) -> bytes:
    xml = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(xml)}\r\n\r\n"
    return (head if is_head else head + xml).encode()
