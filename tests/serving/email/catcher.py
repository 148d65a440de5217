"""A real mail server in a process of its own: it keeps what it took, and refuses what it is told to refuse.

    python -m tests.serving.email.catcher FOLDER [PORT]

It prints its port, and appends a line to FOLDER/taken for each mail before it says yes: the Message-ID, the recipient
and the sender. With FOLDER/mails there, it keeps each message there. What it does besides is said by the recipient's
name: see `Catcher`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from aiosmtpd.smtp import SMTP, Envelope, Session

ROOT = Path(__file__).resolve().parents[3]


class Catcher:
    """The server's handler.

    Recipients whose name begins with `nobody` do not exist; with `later`, they are put off once; with `always-later`,
    always; with `refused`, their mail is refused; with `cut`, the connection ends after the mail was taken, without an
    answer. While there is a file FOLDER/no-sender, nothing is taken from anybody.
    """

    def __init__(self, folder: Path, failing: float) -> None:
        self._folder = folder
        self._failing = failing
        self._seen: set[str] = set()
        self._taken: IO[bytes] = (folder / "taken").open("ab", buffering=0)

    async def handle_MAIL(  # noqa: N802 - the library's names
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Whether anything is taken from this sender."""
        if (self._folder / "no-sender").exists():
            return "530 5.7.0 log in first"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - the library's names
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Whether there is such a recipient."""
        name = address.partition("@")[0]
        if name.startswith("nobody"):
            return "550 5.1.1 no such user"
        first = address not in self._seen
        self._seen.add(address)
        if name.startswith("always-later") or (first and (name.startswith("later") or self._is_unlucky(address))):
            return "451 4.7.1 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Takes the mail."""
        content = bytes(envelope.content or b"")
        (recipient,) = envelope.rcpt_tos
        if recipient.startswith("refused"):
            return "554 5.6.0 not that"
        found = re.search(rb"^Message-ID: (\S+)", content, re.M)
        assert found is not None
        self._taken.write(b"%s %s %s\n" % (found[1], recipient.encode(), str(envelope.mail_from).encode()))
        if (self._folder / "mails").is_dir():
            (self._folder / "mails" / f"{recipient}.eml").write_bytes(content)
        if recipient.startswith("cut"):
            assert server.transport is not None
            server.transport.abort()
        return "250 OK"

    def _is_unlucky(self, address: str) -> bool:
        return hashlib.blake2b(address.encode()).digest()[0] < 256 * self._failing


async def _serve(folder: Path, port: int, failing: float) -> None:
    catcher = Catcher(folder, failing)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(catcher, enable_SMTPUTF8=False, ident="catcher"), "127.0.0.1", port
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def catcher(folder: Path, port: int = 0, failing: float = 0.0) -> Iterator[int]:
    """Runs a server over a folder; its port. `failing` is the share of recipients who are put off once."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.serving.email.catcher", str(folder), str(port), str(failing)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def taken(folder: Path) -> list[tuple[str, str]]:
    """Message-ID and recipient of every mail that a server over this folder took, in order."""
    lines = (folder / "taken").read_text().splitlines() if (folder / "taken").exists() else []
    return [(line.split()[0], line.split()[1]) for line in lines]


def free_port() -> int:
    """A port where nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
