"""The way to a mail server: TLS, logging in, and settings."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from recsys.errors import InputError
from serving.email.settings import read_settings
from serving.email.smtp import MailConnection, MailServer, Security, ServerDownError, ServerRefusesError, Verdict
from tests.serving.email.catcher import free_port


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost, signed by itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    files = (folder / "cert.pem", folder / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-out", files[0], "-keyout", files[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return files


def _login(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
    return AuthResult(success=isinstance(data, LoginPassword) and data.password == b"right", handled=False)


@contextmanager
def smtp(certificate: tuple[Path, Path], security: Security) -> Iterator[int]:
    """A server that asks for a login; its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    port = free_port()
    own = {Security.TLS: {"ssl_context": context}, Security.STARTTLS: {"tls_context": context}}.get(security, {})
    controller = Controller(
        Sink(), hostname="localhost", port=port, authenticator=_login, auth_required=security is not Security.NONE,
        auth_require_tls=security is Security.STARTTLS, **own,
    )  # fmt: skip
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def server(port: int, security: Security, certificate: tuple[Path, Path] | None, password: str = "right") -> MailServer:
    """As settings would have it."""
    authorities = None if certificate is None else certificate[0]
    return MailServer("localhost", port, security, "shop", password, authorities, 5.0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
def test_mails_go_out_over_tls_with_a_login(certificate: tuple[Path, Path], security: Security) -> None:
    """By a certificate that is trusted, and by no other; a wrong password stops everything."""
    with smtp(certificate, security) as port:
        connection = MailConnection(server(port, security, certificate))
        assert (
            connection.deliver("a@shop.example", "b@example.com", b"Subject: x\r\n\r\n.\r\nx").verdict is Verdict.TAKEN
        )
        connection.quit()
        with pytest.raises(ServerRefusesError, match="certificate that is not trusted"):
            MailConnection(server(port, security, None)).open()
        with pytest.raises(ServerRefusesError, match="does not let 'shop' log in"):
            MailConnection(server(port, security, certificate, "wrong")).open()


def test_a_server_without_tls_is_not_spoken_to_in_the_open(certificate: tuple[Path, Path]) -> None:
    """Somebody on the way may have taken STARTTLS out: no password and no mail follows."""
    with smtp(certificate, Security.NONE) as port, pytest.raises(ServerRefusesError, match="STARTTLS"):
        MailConnection(server(port, Security.STARTTLS, certificate)).open()


def test_a_server_that_is_not_there_is_down() -> None:
    """Which is no verdict on any mail."""
    with pytest.raises(ServerDownError, match="cannot be reached"):
        MailConnection(MailServer("127.0.0.1", free_port(), Security.NONE)).open()


WHOLE = """
[sender]
name = "The Shop"
address = "mail@shop.example"
imprint = "The Shop Ltd, 1 Long Road"
[links]
home_page = "https://shop.example/"
service = "https://recommend.shop.example/"
[smtp]
host = "smtp.shop.example"
user = "shop"
[pace]
rate = "50/s"
connections = 4
"""


@contextmanager
def scripted(*answers: bytes) -> Iterator[int]:
    """A server that greets, and answers each command, and the message, by what is said here; then it closes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            # Whoever heard enough closes, and does not wait for the rest.
            with suppress(OSError), connection, connection.makefile("rb") as lines:
                connection.sendall(b"220 hello\r\n")
                for place, answer in enumerate(answers):
                    is_message = place == 4
                    while (line := lines.readline()) and is_message and line != b".\r\n":
                        pass
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(10)


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ((b"250 ok\r\n",), Verdict.LATER),
        ((b"250 ok\r\n", b"??\r\n"), Verdict.LATER),
        ((b"250 ok\r\n", b"250 ok\r\n", b"garbage\r\n"), Verdict.LATER),
        ((b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"554 no\r\n"), Verdict.REFUSED),
        ((b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b""), Verdict.UNKNOWN),
        ((b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"250-ok\r\n"), Verdict.UNKNOWN),
        ((b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"queued?\r\n"), Verdict.UNKNOWN),
        ((b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"354 go on\r\n"), Verdict.UNKNOWN),
        ((b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"451 later\r\n"), Verdict.LATER),
        ((b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"554 no\r\n"), Verdict.REFUSED),
        ((b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"250 yes\r\n"), Verdict.TAKEN),
    ],
)
def test_what_is_no_answer_to_a_mail_leaves_it_uncertain(answers: tuple[bytes, ...], verdict: Verdict) -> None:
    """After the message only a 4xx or 5xx says that it was not taken; before it, nothing was."""
    with scripted(*answers) as port:
        connection = MailConnection(MailServer("127.0.0.1", port, Security.NONE, timeout=5.0))
        found = connection.deliver("a@shop.example", "b@example.com", b"Subject: x\r\n\r\nx\r\n")
        connection.close()
    assert found.verdict is verdict


PIPELINED = b"250-hello\r\n250 PIPELINING\r\n"


@pytest.mark.parametrize(
    ("answers", "verdict", "reply"),
    [
        ((b"", b"", b"250 ok\r\n250 ok\r\n354 go\r\n", b"250 yes\r\n"), Verdict.TAKEN, "250 yes"),
        ((b"", b"", b"250 ok\r\n250 ok\r\n354 go\r\n", b""), Verdict.UNKNOWN, "connection was lost"),
        ((b"", b"", b"250 ok\r\n550 5.1.1 nobody\r\n503 no\r\n"), Verdict.NO_ADDRESS, "550 5.1.1 nobody"),
        (
            (b"", b"", b"250 ok\r\n550 5.1.1 nobody\r\n354 go\r\n", b"554 none\r\n", b"250 reset\r\n"),
            Verdict.NO_ADDRESS,
            "550",
        ),
        ((b"", b"", b"250 ok\r\n451 later\r\n354 go\r\n", b"250 odd\r\n"), Verdict.LATER, "451 later"),
        ((b"", b"", b"451 busy\r\n503 no\r\n503 no\r\n"), Verdict.LATER, "451 busy"),
        ((b"", b"", b"421 bye\r\n"), Verdict.LATER, "421 bye"),
        ((b"", b"", b"250 ok\r\n250 ok\r\n452 full\r\n"), Verdict.LATER, "452 full"),
        ((b"", b"", b"250 ok\r\n"), Verdict.LATER, "connection was lost before the mail was sent"),
        ((b"", b"", b"??\r\n250 ok\r\n250 ok\r\n354 go\r\n"), Verdict.LATER, "-1"),
        ((b"", b"", b"250 ok\r\n451 later\r\n554 no\r\n354 odd\r\n"), Verdict.LATER, "451 later"),
        ((b"", b"", b"250 ok\r\n252 perhaps\r\n354 go\r\n", b"250 empty\r\n", b"250 clear\r\n"), Verdict.LATER, "252"),
    ],
)
def test_commands_go_out_together_to_a_server_that_takes_them_so(
    answers: tuple[bytes, ...], verdict: Verdict, reply: str
) -> None:
    """The server answers none of the three before it has them all; the first no is what it says of the mail, and one
    that waits for a mail to nobody gets an empty one."""
    with scripted(PIPELINED, *answers) as port:
        connection = MailConnection(MailServer("127.0.0.1", port, Security.NONE, timeout=2.0))
        found = connection.deliver("a@shop.example", "b@example.com", b"Subject: x\r\n\r\nx\r\n")
        # Had the server waited for a mail still, it would have taken RSET for a line of it.
        assert connection.is_open is (verdict is Verdict.TAKEN or answers[-1] == b"250 reset\r\n")
        connection.close()
    assert found.verdict is verdict
    assert reply in found.reply


@pytest.mark.parametrize(
    "answers", [(b"250 hello\r\n", b"530 log in\r\n"), (PIPELINED, b"530 log in\r\n503\r\n503\r\n")]
)
def test_a_server_that_takes_nothing_from_this_sender_says_nothing_of_a_mail(answers: tuple[bytes, ...]) -> None:
    """All mails have the same sender: what is refused before anybody is named would be refused of each."""
    with scripted(*answers) as port:
        connection = MailConnection(MailServer("127.0.0.1", port, Security.NONE, timeout=2.0))
        with pytest.raises(ServerRefusesError, match=r"no mail from a@shop\.example: 530 log in"):
            connection.deliver("a@shop.example", "b@example.com", b"x\r\n")
        connection.close()


def test_a_connection_that_the_server_closed_meanwhile_is_opened_again() -> None:
    """As servers do with those that wait for long: no attempt of a mail is lost by it."""
    port = free_port()
    controller = Controller(Sink(), hostname="127.0.0.1", port=port, timeout=0.2)
    controller.start()
    try:
        connection = MailConnection(MailServer("127.0.0.1", port, Security.NONE, timeout=5.0))
        for pause in (0.0, 0.6, 0.6):
            time.sleep(pause)
            assert connection.deliver("a@shop.example", "b@example.com", b"x\r\n").verdict is Verdict.TAKEN
    finally:
        controller.stop()
    with pytest.raises(ServerDownError):
        connection.deliver("a@shop.example", "b@example.com", b"x\r\n")


@pytest.mark.parametrize("greeting", [b"250 hello\r\n", PIPELINED])
def test_no_command_is_made_of_an_address(greeting: bytes) -> None:
    """A line in it is refused before anything is sent."""
    with scripted(greeting, b"250 ok\r\n") as port:
        connection = MailConnection(MailServer("127.0.0.1", port, Security.NONE, timeout=2.0))
        with pytest.raises(ValueError, match="a line in it"):
            connection.deliver("a@shop.example", "b@x.example>\r\nDATA", b"x\r\n")
        connection.close()


def test_settings_are_read(tmp_path: Path) -> None:
    """With the password from outside, which nothing prints, and TLS unless said otherwise."""
    (tmp_path / "delivery.toml").write_text(WHOLE)
    found = read_settings(tmp_path, "secret")
    assert (found.server.port, found.server.security) == (587, Security.STARTTLS)
    assert found.service == "https://recommend.shop.example"
    assert str(found.pace.rate) == "50/s"
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        (('user = "shop"', 'user = "shop"\npasword = "x"'), 12, "pasword is unknown"),
        (('"mail@shop.example"', '"mail"'), 4, "address is 'mail'"),
        (('"https://shop.example/"', '"shop.example"'), 7, "home_page"),
        (('user = "shop"', 'security = "none"'), 11, 'security is "none"'),
        (('user = "shop"', 'security = "ssl"'), 11, "security is 'ssl'"),
        (('"50/s"', '"fast"'), 13, "the rate 'fast'"),
        (("connections = 4", "connections = 0"), 14, "connections is 0"),
        (('imprint = "The Shop Ltd, 1 Long Road"\n', ""), 2, "imprint is missing"),
        (("[pace]", "[speed]"), 12, "[speed] is unknown"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_their_line(
    tmp_path: Path, change: tuple[str, str], line: int, said: str
) -> None:
    """And with what would fit."""
    assert change[0] in WHOLE
    (tmp_path / "delivery.toml").write_text(WHOLE.replace(*change))
    with pytest.raises(InputError) as caught:
        read_settings(tmp_path, "secret")
    assert said in caught.value.found
    assert f"delivery.toml:{line}: " in caught.value.found


def test_a_user_without_a_password_is_told_where_it_comes_from(tmp_path: Path) -> None:
    """From the environment alone."""
    (tmp_path / "delivery.toml").write_text(WHOLE)
    with pytest.raises(InputError, match="BOOKMATCH_SMTP_PASSWORD is not set"):
        read_settings(tmp_path, None)
