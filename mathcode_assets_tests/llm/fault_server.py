"""A model server that misbehaves, run as a process of its own: ``python fault_server.py FD FOLDER SEED LIFE``.

It answers on a listening socket that it inherits, so connections that wait while it is dead are served by the
next one and none is lost uncounted. One request a connection. Every accepted connection is logged before
anything else happens, and its end when it ends, one JSON line each in FOLDER/log; a connection without an end
is one that the server's death broke. With LIFE above 0 it kills itself after so many connections, at a moment
when none is accepted and not logged.

FOLDER/hold: while it exists, requests are kept waiting. FOLDER/hangs: while it exists, some hang for ever.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import struct
import sys
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

GARBAGE = [b"not json", b"{}", b'{"choices": []}', b'{"choices": [{"message": {}}]}', b"[1, 2]", b"\xff\xfe", b""]


class Server:
    def __init__(self, folder: Path, seed: str, life: int) -> None:
        self.folder, self.seed, self.life = folder, seed, life
        self.log_file = os.open(folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.n_asked: dict[str, int] = {}

    def log(self, connection: str, event: str, question: str = "") -> None:
        line = json.dumps({"connection": connection, "event": event, "question": question})
        os.write(self.log_file, line.encode() + b"\n")

    async def serve(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        tasks = set()
        n_accepted = 0
        while True:
            connection, _ = await loop.sock_accept(listening)
            n_accepted += 1
            name = f"{os.getpid()}-{n_accepted}"
            self.log(name, "accepted")
            if n_accepted == self.life:
                os.kill(os.getpid(), signal.SIGKILL)
            task = asyncio.create_task(self.answer(connection, name))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def answer(self, connection: socket.socket, name: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            body = await read_body(connection)
            question = body["messages"][-1]["content"]
            if body["max_tokens"] == 1:
                question = "probe"
            self.log(name, "read", question)
            await asyncio.sleep(0.003)
            while (self.folder / "hold").exists():
                await asyncio.sleep(0.02)
            if is_hung_up(connection):
                raise EOFError
            fault = self.fault(question)
            if fault == "hang" and (self.folder / "hangs").exists():
                await loop.sock_recv(connection, 1)  # until the client gives up
                fault = "drop"
            event, payload = self.reply(fault, question)
            self.log(name, event, question)
            if payload:
                await loop.sock_sendall(connection, payload)
            elif random.random() < 0.5:  # a reset instead of an orderly end
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except (OSError, EOFError):
            self.log(name, "broke")
        finally:
            connection.close()

    def fault(self, question: str) -> str:
        number = self.n_asked[question] = self.n_asked.get(question, 0) + 1
        if "poison" in question:
            return ["500", "drop", "garbage"][number % 3]
        if "forbidden" in question:
            return "400"
        draw = random.Random(f"{self.seed}/{question}/{number}").random()
        for fault, share in [
            ("drop", 0.04),
            ("429", 0.04),
            ("500", 0.04),
            ("garbage", 0.04),
            ("half", 0.04),
            ("hang", 0.002),
        ]:
            if draw < share:
                return fault
            draw -= share
        return ""

    def reply(self, fault: str, question: str) -> tuple[str, bytes]:
        """What is logged, and what is sent."""
        rng = random.Random(f"{self.seed}/{question}")
        good = completion(question)
        if fault in ("drop", "hang"):
            return "broke", b""
        if fault == "half":
            return "broke", response(200, good)[: -rng.randrange(1, len(good))]
        if fault == "garbage":
            return "broke", response(200, rng.choice(GARBAGE))
        if fault == "429":
            moment = format_datetime(datetime.now(UTC), usegmt=True)
            return "refused", response(
                429, b'{"error": {"message": "slow"}}', rng.choice(["0.02", "0", moment, "soon"])
            )
        if fault:
            return "refused", response(int(fault), b'{"error": {"message": "no"}}')
        return "completed", response(200, good)


async def read_body(connection: socket.socket) -> dict:
    loop = asyncio.get_running_loop()
    data = b""
    while b"\r\n\r\n" not in data:
        data += await received(loop, connection)
    head, _, body = data.partition(b"\r\n\r\n")
    size = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    while len(body) < size:
        body += await received(loop, connection)
    return json.loads(body)


async def received(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> bytes:
    data = await loop.sock_recv(connection, 65536)
    if not data:
        raise EOFError
    return data


def is_hung_up(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False


def completion(question: str) -> bytes:
    message = {"role": "assistant", "content": f"re: {question}"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    return json.dumps({"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()


def response(status: int, body: bytes, retry_after: str = "") -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    if retry_after:
        head += f"Retry-After: {retry_after}\r\n"
    return (head + "Connection: close\r\n\r\n").encode() + body


if __name__ == "__main__":
    inherited = socket.socket(fileno=int(sys.argv[1]))
    inherited.setblocking(False)
    asyncio.run(Server(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])).serve(inherited))
