"""A mail as it goes over the wire: RFC 5322 with an HTML and a text part, and the headers of RFC 8058."""

from __future__ import annotations

import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import Header
from email.utils import format_datetime
from functools import lru_cache

import numpy as np

from recsys.errors import InputError
from serving.email.render import Rendered

LINE = b"\r\n"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who the mails are from.

    Attributes
    ----------
    name, address : of the header From.
    reply_to : where answers go; None: to `address`.
    bounces : the envelope's sender, to which mail servers report what could not be delivered; None: `address`.
    """

    name: str
    address: str
    reply_to: str | None = None
    bounces: str | None = None

    @property
    def envelope(self) -> str:
        """The envelope's sender."""
        return self.bounces or self.address

    @property
    def domain(self) -> str:
        """What stands behind the @."""
        return self.address.rpartition("@")[2]


def message_id(secret: bytes, mailing: str, customer_id: str, domain: str) -> str:
    """The Message-ID of a customer's mail in a mailing: always the same, and it tells nobody who the customer is."""
    key = hashlib.blake2b(secret, digest_size=32, person=b"bookmatch.mailid").digest()
    raw = f"{len(mailing)}:{mailing}{customer_id}".encode(errors="surrogatepass")
    return f"<{hashlib.blake2b(raw, key=key, digest_size=16).hexdigest()}@{domain}>"


def message_bytes(mail: Rendered, sender: Sender, to: str, name: str | None, message_id: str, at: int) -> bytes:
    """The whole message, lines ended by CRLF and never longer than 998 bytes; every byte is ASCII.

    Put together here and not by the library's `EmailMessage`, which takes several milliseconds for a page of HTML; the
    tests read it back with the library. `at` is milliseconds UTC. Raises InputError for an address with a line in it.
    """
    boundary = f"=_{hashlib.blake2b(message_id.encode(), digest_size=16).hexdigest()}"
    headers = [
        ("From", _mailbox(sender.name, sender.address)),
        ("To", _mailbox(name or "", to)),
        ("Subject", _encoded("Subject", mail.subject)),
        ("Date", format_datetime(datetime.fromtimestamp(at / 1000, UTC))),
        ("Message-ID", message_id),
        ("List-Unsubscribe", f"<{mail.unsubscribe_url}>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        # Nobody's out-of-office answer is wanted (RFC 3834).
        ("Auto-Submitted", "auto-generated"),
        ("MIME-Version", "1.0"),
        ("Content-Type", f'multipart/alternative;\r\n boundary="{boundary}"'),
    ]
    if sender.reply_to:
        headers.insert(2, ("Reply-To", _mailbox("", sender.reply_to)))
    top = "".join([f"{field}: {value}\r\n" for field, value in headers]).encode("ascii")
    mark = b"--" + boundary.encode()
    return b"".join(
        (
            *(top, LINE),
            *(mark, *_part(b"text/plain", mail.text.encode("utf-8", "replace"))),
            *(mark, *_part(b"text/html", _as_ascii(mail.html))),
            *(mark, b"--", LINE),
        )
    )


_CONTROLS = bytes({*range(32), 127} - set(b"\t\n"))
"""No part of any text; a NUL in a body is refused by many servers (RFC 5322, 4)."""
_LONGEST = 998
"""Bytes of a line without its end (RFC 5322)."""


def _part(kind: bytes, raw: bytes) -> tuple[bytes, bytes]:
    """A part of the body: as it is where it is ASCII in lines that are short enough, quoted-printable otherwise."""
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    # A page has many octets: NumPy looks at all of them in the time in which `bytes` looks at a few.
    octets = np.frombuffer(raw, dtype=np.uint8)
    ends = np.flatnonzero(octets == ord("\n"))
    if np.count_nonzero(octets < ord(" ")) > len(ends) + raw.count(b"\t") or b"\x7f" in raw:
        return _part(kind, raw.translate(None, _CONTROLS))
    how = b"7bit"
    if not raw.isascii() or np.diff(ends, prepend=-1, append=len(raw)).max() > _LONGEST + 1:
        how = b"quoted-printable"
        raw = binascii.b2a_qp(raw, quotetabs=False, istext=True).replace(b"=\r\n", b"=\n")
    head = b'\r\nContent-Type: %s; charset="utf-8"\r\nContent-Transfer-Encoding: %s\r\n\r\n' % (kind, how)
    return head, (raw + b"\n").replace(b"\n", LINE)


def _as_ascii(page: str) -> bytes:
    """HTML says any character in ASCII, so that a page needs no encoding for its way: half the work, and fewer bytes.
    What is no character cannot be said; it becomes a question mark. Values are ASCII already, see
    `serving.email.templates`."""
    if not page.isascii():
        page = page.encode("utf-8", "replace").decode()
    return page.encode("ascii", "xmlcharrefreplace")


@lru_cache(maxsize=10_000)
def _mailbox(name: str, address: str) -> str:
    """A name and an address as a header has them."""
    if any(character <= " " or character in "<>," or character > "~" for character in address):
        raise InputError(f"the address {address!a} is none", expected="an address such as ann@example.com")
    name = _one_line(name)
    if not name:
        return address
    encoded = _encoded("From", name)
    if encoded == name:  # Plain: quoted, as a name may hold a comma.
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        encoded = f'"{escaped}"'
    return f"{encoded} <{address}>"


def _encoded(field: str, text: str) -> str:
    """A text in a header: as it is where it is ASCII and short, as RFC 2047 has it otherwise."""
    line = _one_line(text)
    if line.isascii() and line.isprintable() and len(line) < 60 and "=?" not in line:
        return line
    return Header(line, "utf-8", header_name=field).encode(linesep="\r\n")


def _one_line(text: str) -> str:
    """Without controls, which nobody writes and some server refuses."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split())
