"""The witness: an HTTP receiver that writes down and fsyncs every POST before it answers it.

``python -m tests.faults.witness HOST PORT FOLDER``. What it saw is in ``received.jsonl`` there, one
line per POST. A path is ``/<hook>/<manner>/<argument>``: ``ok``; ``slow/<seconds>`` before the
answer; ``half/<seconds>`` in the middle of the answer's body; ``flaky/<n>`` refuses every n-th
POST, ``first/<n>`` the first n of each id; ``gate/<name>`` waits until the file ``<name>`` is in
the folder, ``then500/<name>`` as well, and refuses then.
"""

import asyncio
import hashlib
import json
import os
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import time

from standardwebhooks import Webhook, WebhookVerificationError

from tests.faults.files import RECEIVED, SECRETS

BODY = b"thanks, it is written down"


@dataclass(frozen=True)
class Post:
    """One POST as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


class Ledger:
    """Appends lines; however many wait, one fsync serves them all."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._bell = asyncio.Event()

    async def write(self, line: bytes) -> None:
        """Returns once the line is on the disk."""
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((line, written))
        self._bell.set()
        await written

    async def run(self) -> None:
        """Write what has come, again and again."""
        while True:
            await self._bell.wait()
            self._bell.clear()
            batch, self._waiting = self._waiting, []
            await asyncio.to_thread(self._sync, b"".join(line for line, _ in batch))
            for _, written in batch:
                if not written.done():
                    written.set_result(None)

    def _sync(self, text: bytes) -> None:
        os.write(self._fd, text)
        os.fsync(self._fd)


class Witness:
    """Judges each POST's signature, writes it down, and answers as its path asks for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ledger = Ledger(folder / RECEIVED)
        self._secrets: dict[str, str] = {}
        self._count = 0
        self._seen: Counter[tuple[str, str]] = Counter()

    async def serve(self, host: str, port: int) -> None:
        """Serve until killed."""
        server = await asyncio.start_server(self._connection, host, port, backlog=4096)
        async with server:
            await self._ledger.run()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while (post := await _read(reader)) is not None:
                await self._answer(post, writer)
        writer.close()

    async def _answer(self, post: Post, writer: asyncio.StreamWriter) -> None:
        hook, manner, argument = (*post.path.strip("/").split("/"), "ok", "")[:3]
        status = self._status(post, manner, argument)
        await self._ledger.write(self._line(post, hook, status))
        if manner == "slow":
            await asyncio.sleep(float(argument))
        if manner in ("gate", "then500"):
            await self._gate(argument)
        head = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
        if manner == "half":
            writer.write(head + BODY[:5])
            await writer.drain()
            await asyncio.sleep(float(argument))
            writer.write(BODY[5:])
        else:
            writer.write(head + BODY)
        await writer.drain()

    def _status(self, post: Post, manner: str, argument: str) -> int:
        self._count += 1
        if manner == "first":
            seen = self._seen[post.headers.get("webhook-id", ""), post.path]
            self._seen[post.headers.get("webhook-id", ""), post.path] += 1
            return 500 if seen < int(argument) else 200
        if manner == "flaky":
            return 200 if self._count % int(argument) else 500
        return 500 if manner == "then500" else 200

    async def _gate(self, name: str) -> None:
        while not (self._folder / name).exists():
            await asyncio.sleep(0.05)

    def _line(self, post: Post, hook: str, status: int) -> bytes:
        seen = {
            "id": post.headers.get("webhook-id", ""),
            "hook": hook,
            "at": time(),
            "body": hashlib.sha256(post.body).hexdigest()[:32],
            "valid": self._is_signed(post, hook),
            "status": status,
            "agent": post.headers.get("user-agent", ""),
        }
        return json.dumps(seen).encode() + b"\n"

    def _is_signed(self, post: Post, hook: str) -> bool:
        if hook not in self._secrets:
            self._secrets = json.loads((self._folder / SECRETS).read_text())
        try:
            Webhook(self._secrets[hook]).verify(post.body, post.headers, json_parse=False)
        except (KeyError, WebhookVerificationError):
            return False
        return True


async def _read(reader: asyncio.StreamReader) -> Post | None:
    """One request; None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Post(first.split(" ")[1], headers, body)


def main() -> None:
    """Serve at the address of the command line."""
    host, port, folder = sys.argv[1:]
    asyncio.run(Witness(Path(folder)).serve(host, int(port)))


if __name__ == "__main__":
    main()
