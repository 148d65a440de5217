"""One connection to a mail server, and what it said of each mail: taken, not now, never, or nobody knows."""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from recsys.errors import BookmatchError


class Security(StrEnum):
    """How the way to the server is kept secret. `NONE` is for a server of this machine alone."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mails are handed over.

    Attributes
    ----------
    user : who logs in, with `password`; None: nobody does.
    authorities : a file of certificates (PEM) to trust in place of the system's.
    timeout : seconds that one answer of the server is waited for.
    """

    host: str
    port: int
    security: Security = Security.STARTTLS
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    authorities: Path | None = None
    timeout: float = 30.0


class Verdict(StrEnum):
    """What became of one mail.

    Attributes
    ----------
    TAKEN : the server is responsible for it now.
    LATER : not taken (4xx, or the connection ended before the mail was sent); to be tried again.
    NO_ADDRESS : the server knows no such recipient and never will (5xx to RCPT).
    NO_SENDER : the server takes nothing from this sender (5xx to MAIL, which says nothing of a recipient).
    REFUSED : the server does not take this mail (any other 5xx).
    UNKNOWN : sent, and no answer came: it may have been taken.
    """

    TAKEN = "taken"
    LATER = "later"
    NO_ADDRESS = "no_address"
    NO_SENDER = "no_sender"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Handover(NamedTuple):
    """A verdict and the server's own words."""

    verdict: Verdict
    reply: str


class ServerDownError(BookmatchError):
    """The mail server cannot be reached now; no mail was handed over."""


class ServerRefusesError(BookmatchError):
    """The mail server does not serve us as things are: nothing will change before somebody changes it."""


_POLICY: Final = re.compile(r"^5\.(7|2\.[123])")
"""Enhanced codes (RFC 3463) after RCPT that speak of our mail or of a full mailbox, not of an address that is none."""

_ENDS: Final = 421
"""The server closes the connection after this reply, whatever it was to."""

_PIPELINING: Final = "pipelining"
"""RFC 2920."""

_MAIL, _RCPT, _DATA = 0, 1, 2
_YES: Final = ((250,), (250, 251), (354,))
"""Replies to MAIL, RCPT and DATA that let the next one come."""


class MailConnection:
    """A connection that opens when it is needed and again when it was lost. For one thread."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._smtp: smtplib.SMTP | None = None
        self._was_used = False

    @property
    def is_open(self) -> bool:
        """Whether it was opened and not lost since, as far as is known here."""
        return self._smtp is not None

    def open(self) -> None:
        """Connects where that is needed. Raises ServerDownError and ServerRefusesError."""
        if self._smtp is not None:
            return
        server = self._server
        place = f"the mail server {server.host}:{server.port}"
        try:
            self._smtp, self._was_used = _connected(server), False
        except ssl.SSLCertVerificationError as error:
            raise ServerRefusesError(
                f"{place} has a certificate that is not trusted: {error.verify_message}",
                expected=f"one for {server.host} by an authority that this machine knows",
                remedy="correct the host, or name the authority's file in [smtp] authorities",
            ) from error
        except ssl.SSLError as error:
            raise ServerRefusesError(
                f"{place} does not speak TLS as it should: {error.reason}", remedy="see port and security in [smtp]"
            ) from error
        except smtplib.SMTPAuthenticationError as error:
            if error.smtp_code < 500:
                raise ServerDownError(f"{place} lets nobody log in now: {_text(error.smtp_error)}") from error
            raise ServerRefusesError(
                f"{place} does not let {server.user!a} log in: {error.smtp_code} {_text(error.smtp_error)}",
                remedy="see user in [smtp] and the variable BOOKMATCH_SMTP_PASSWORD",
            ) from error
        except smtplib.SMTPNotSupportedError as error:
            raise ServerRefusesError(
                f"{place}: {error}",
                expected="STARTTLS where security says so, and AUTH where a user is named",
                remedy='see [smtp]; security = "none" is for a server of this machine alone',
            ) from error
        except (smtplib.SMTPException, OSError) as error:
            raise ServerDownError(f"{place} cannot be reached: {error}") from error

    def deliver(self, sender: str, recipient: str, message: bytes) -> Handover:
        """Hands one message over. Lines end with CRLF. Raises ServerDownError and ServerRefusesError, with nothing
        handed over: those of `open`, and the latter where the server takes no mail from this sender, whoever it is to.
        """
        self.open()
        was_used = self._was_used
        handover = self._deliver(sender, recipient, message)
        if was_used and handover.verdict is Verdict.LATER and not self.is_open:
            # Servers close connections that wait for long, or that brought enough: that says nothing of this mail.
            self.open()
            handover = self._deliver(sender, recipient, message)
        return handover

    def _deliver(self, sender: str, recipient: str, message: bytes) -> Handover:
        smtp, self._was_used = self._smtp, True
        assert smtp is not None  # noqa: S101 - `open` raises otherwise
        try:
            refused = _envelope(smtp, sender, recipient)
        except (smtplib.SMTPException, OSError) as error:
            self.close()
            return Handover(Verdict.LATER, f"the connection was lost before the mail was sent: {error}")
        if refused is not None:
            code, handover = refused
            self._go_on(code)
            if handover.verdict is Verdict.NO_SENDER:
                raise ServerRefusesError(
                    f"the mail server takes no mail from {sender}: {handover.reply}",
                    remedy="see [sender], and user in [smtp]",
                )
            return handover
        try:
            smtp.send(_stuffed(message))
            code, text = smtp.getreply()
        except (smtplib.SMTPException, OSError) as error:
            # From the first byte on nobody but the server knows how much of it arrived.
            self.close()
            return Handover(Verdict.UNKNOWN, f"the connection was lost before the server answered: {error}")
        if 200 <= code < 300:
            return Handover(Verdict.TAKEN, _reply(code, text))
        if not 400 <= code < 600:
            # No yes and no no: what it means nobody knows, and neither what the next answer would be to.
            self.close()
            return Handover(Verdict.UNKNOWN, f"the server's answer is none: {_reply(code, text)}")
        self._go_on(code)
        return Handover(Verdict.REFUSED if code >= 500 else Verdict.LATER, _reply(code, text))

    def close(self) -> None:
        """Ends the connection."""
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            smtp.close()

    def quit(self) -> None:
        """The same, politely."""
        if self._smtp is not None:
            try:
                self._smtp.quit()
            except (smtplib.SMTPException, OSError):
                self.close()
            self._smtp = None

    def _go_on(self, code: int) -> None:
        """After a mail that was not taken."""
        if code == _ENDS or self._smtp is None:
            self.close()
            return
        try:
            is_clear = self._smtp.rset()[0] == 250
        except (smtplib.SMTPException, OSError):
            is_clear = False
        if not is_clear:
            # What it answered was to something else, or it waits for a mail still.
            self.close()


def _connected(server: MailServer) -> smtplib.SMTP:
    smtp: smtplib.SMTP
    trust: ssl.SSLContext | None = None
    if server.security is not Security.NONE:
        trust = ssl.create_default_context(cafile=None if server.authorities is None else str(server.authorities))
    if server.security is Security.TLS:
        smtp = smtplib.SMTP_SSL(server.host, server.port, timeout=server.timeout, context=trust)
    else:
        smtp = smtplib.SMTP(server.host, server.port, timeout=server.timeout)
    try:
        smtp.ehlo_or_helo_if_needed()
        if server.security is Security.STARTTLS:
            smtp.starttls(context=trust)
            smtp.ehlo()
        if server.user is not None:
            smtp.login(server.user, server.password or "")
    except BaseException:
        smtp.close()
        raise
    return smtp


def _envelope(smtp: smtplib.SMTP, sender: str, recipient: str) -> tuple[int, Handover] | None:
    """Everything before the message itself; None where the server waits for it now."""
    no: tuple[int, Handover] | None = None
    to_nobody = waits = False
    try:
        for place, (code, text) in enumerate(_replies(smtp, sender, recipient)):
            to_nobody = to_nobody or (place == _RCPT and 400 <= code < 600)
            waits = place == _DATA and code == 354
            no = no or _no(place, code, text)
            if no is not None and not smtp.has_extn(_PIPELINING):
                return no
        if no is not None and waits and not to_nobody:
            # An empty mail would be somebody's.
            return _ENDS, no[1]
        if no is not None and waits:
            # Nobody is left to send it to, and still the server waits for it: an empty one then (RFC 2920, 3.1).
            smtp.send(b".\r\n")
            smtp.getreply()
    except (smtplib.SMTPException, OSError):
        if no is None:
            raise
        return _ENDS, no[1]
    return no


def _replies(smtp: smtplib.SMTP, sender: str, recipient: str) -> Iterator[tuple[int, bytes]]:
    """The server's reply to each command; all are sent at once to a server that takes them so: one way there and back
    in place of three."""
    commands = (f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA")
    if any("\r" in command or "\n" in command for command in commands):
        raise ValueError(f"an address with a line in it: {sender!a} or {recipient!a}")
    if not smtp.has_extn(_PIPELINING):
        yield from map(smtp.docmd, commands)
        return
    smtp.send("".join(f"{command}\r\n" for command in commands))
    for _ in commands:
        yield smtp.getreply()


def _no(place: int, code: int, text: bytes) -> tuple[int, Handover] | None:
    """What a reply to one of the three commands means; None where it lets the next one come."""
    if code in _YES[place]:
        return None
    verdict = Verdict.REFUSED if code >= 500 else Verdict.LATER
    if place == _MAIL and code >= 500:
        verdict = Verdict.NO_SENDER
    if place == _RCPT and code >= 500 and not _POLICY.match(_text(text)):
        verdict = Verdict.NO_ADDRESS
    # After what is no yes and no no, nobody knows what the next answer would be to.
    return code if 400 <= code < 600 else _ENDS, Handover(verdict, _reply(code, text))


def _stuffed(message: bytes) -> bytes:
    """With a second dot where a line begins with one, and the dot that ends a message (RFC 5321, 4.5.2)."""
    if b"\r\n." in message:  # Seldom; to look for it takes less than to replace nothing.
        message = message.replace(b"\r\n.", b"\r\n..")
    first, last = b"." if message.startswith(b".") else b"", b"" if message.endswith(b"\r\n") else b"\r\n"
    return b"".join((first, message, last, b".\r\n"))


def _reply(code: int, text: bytes | str) -> str:
    return f"{code} {_text(text)}"


def _text(text: bytes | str) -> str:
    return " ".join((text.decode(errors="replace") if isinstance(text, bytes) else text).split())
