"""The second half of `make bench-email`: mails rendered, written as messages, and sent to a mail server next door.

Each figure stands beside a peer measured in the same run: compiling MJML for each mail, the library's own way to write
a message, and one connection that sends the same messages without a ledger. Rendering counts this process's own time on
its core; sending counts what a clock on the wall shows.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import smtplib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from pathlib import Path

import mjml
import polars as pl
from aiosmtpd.smtp import SMTP, Envelope, Session
from jinja2 import Environment

from benchmarks.measured import Row
from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.profile import Consent
from recsys.shop import ShopFolder
from recsys.stores import open_store
from recsys.stores.ledger import MailState
from serving.email.campaign import Restraint
from serving.email.deliver import Pace, SendClocks
from serving.email.message import Sender, message_bytes
from serving.email.planned import PlanHeader, PlannedBlock, PlannedItem, PlannedMail
from serving.email.render import Rendered, Renderer
from serving.email.sending import send
from serving.email.settings import DeliverySettings
from serving.email.smtp import MailServer, Security
from serving.email.templates import find_template, load_template

COMMAND = "python -m benchmarks.email_delivery"
MAILS, PEERS, ITEMS = 2_000, 50, 5_000
FAILING = 0.05
"""The share of recipients who are put off once."""

RENDERED, WRITTEN, SENT = 2_000, 500, 300
"""So many a second are wanted at least."""

NOW = 1_800_000_000_000
SENDER = Sender("The Shop", "mail@shop.example")


@dataclass(frozen=True)
class BenchPlan:
    """A plan in memory."""

    planned: Sequence[PlannedMail]

    @property
    def header(self) -> PlanHeader:
        """Of a campaign without a holdout."""
        return PlanHeader(
            campaign="bench", purpose="email", template=None, shop="The Shop", language="en", time_zone="UTC",
            planned_at=NOW, bundle="b", audience=len(self.planned), planned=len(self.planned), suppressed={},
            counted={}, holdout=0.0, salt="s", blocks=(), words={}, parts=1,
        )  # fmt: skip

    def mails(self) -> Iterator[PlannedMail]:
        """See `Plan`."""
        return iter(self.planned)

    def suppressed(self) -> pl.DataFrame:
        """See `Plan`."""
        return pl.DataFrame(schema={"customer_id": pl.String, "cause": pl.String})


def item(number: int) -> PlannedItem:
    """One of the shop's books; every other one has a picture."""
    name = number % ITEMS
    return PlannedItem(
        f"b{name}", f"The {name}th Book of the Long Shelf", "A. N. Author", 7.5 + name % 40, "EUR",
        f"https://shop.example/books/{name}", f"https://shop.example/covers/{name}.jpg" if name % 2 else None,
        "because of The Book Before", "history", "b0", 0.1,
    )  # fmt: skip


def mail(number: int) -> PlannedMail:
    """Four blocks of four items."""
    blocks = tuple(
        PlannedBlock(kind, heading, tuple(item(number * 16 + place * 4 + each) for each in range(4)))
        for place, (kind, heading) in enumerate(
            [("for_you", "For you"), ("buy_again", "Buy again"), ("picked", "Our pick"), ("looked_at", "You looked")]
        )
    )
    return PlannedMail(
        "bench", "email", f"c{number:06}", None, f"c{number:06}@d{number % 50}.example", f"Reader {number}", "en",
        "UTC", 0, f"The {number}th theme line", blocks, "t" * 130,
    )  # fmt: skip


def shop_renderer() -> Renderer:
    """The shipped template."""
    return Renderer(
        load_template(find_template(None, None)), shop="The Shop", imprint="The Shop Ltd, 1 Long Road",
        home_page="https://shop.example/", language="en", own_texts=None,
        unsubscribe_url=lambda customer, _: f"https://shop.example/v1/email/unsubscribe/{customer}.{'s' * 27}",
    )  # fmt: skip


def rate(work: Callable[[PlannedMail], object], mails: Sequence[PlannedMail]) -> float:
    """How many a second of this process's own time."""
    for each in mails[: len(mails) // 10]:
        work(each)
    began = time.process_time()
    for each in mails:
        work(each)
    return len(mails) / (time.process_time() - began)


def by_library(rendered: Rendered, to: str) -> bytes:
    """A message as the standard library writes it."""
    message = EmailMessage(policy=SMTP_POLICY)
    message["From"], message["To"], message["Subject"] = f"The Shop <{SENDER.address}>", to, rendered.subject
    message["Message-ID"], message["List-Unsubscribe"] = "<1@shop.example>", f"<{rendered.unsubscribe_url}>"
    message.set_content(rendered.text)
    message.add_alternative(rendered.html, subtype="html")
    return message.as_bytes()


def compiled_each_time(source: str, values: dict[str, object]) -> str:
    """MJML for one mail alone."""
    return mjml.mjml2html(Environment(autoescape=True).from_string(source).render(values))


def rendering() -> list[Row]:
    """Pages and texts, with the message around them and without."""
    renderer, mails = shop_renderer(), [mail(number) for number in range(MAILS)]

    def write(each: PlannedMail) -> bytes:
        return message_bytes(renderer.render(each), SENDER, each.address, each.name, "<1@shop.example>", NOW)

    source = find_template(None, None).read_text().replace("<mj-raw>{%", "{%").replace("%}</mj-raw>", "%}")
    values: dict[str, object] = {"blocks": [], "subject": "s"}
    few = mails[:PEERS]
    rendered, written = rate(renderer.render, mails), rate(write, mails)
    compiled = rate(lambda _: compiled_each_time(source, values), few)
    library = rate(lambda each: by_library(renderer.render(each), each.address), few)
    size = len(write(mails[0])) / 1024
    return [
        Row("HTML and text, four blocks of four", COMMAND,
            f"{rendered:,.0f}/s a core, {rendered / compiled:.0f} × compiling MJML for each mail", f"≥ {RENDERED:,}/s"),
        Row(f"the same as a message of {size:.0f} KiB", COMMAND,
            f"{written:,.0f}/s a core, {written / library:.1f} × the standard library's", f"≥ {WRITTEN}/s"),
    ]  # fmt: skip


class _Server:
    """Takes mails and puts some recipients off once."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """See `aiosmtpd`."""
        unlucky = hashlib.blake2b(address.encode()).digest()[0] < 256 * FAILING
        if unlucky and address not in self._seen:
            self._seen.add(address)
            return "451 4.7.1 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Tells the recipient on standard output."""
        print(envelope.rcpt_tos[0], flush=True)
        return "250 OK"


async def serve() -> None:
    """Until it is killed; prints its port first."""
    handler = _Server()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(handler, ident="bench"), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def server(log: Path) -> Iterator[int]:
    """A mail server in a process of its own, which writes down whom it took a mail for; its port."""
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "benchmarks.email_delivery", "--serve"], stdout=out)
        try:
            while not log.read_bytes().endswith(b"\n"):
                time.sleep(0.05)
            yield int(log.read_bytes().split(b"\n")[0])
        finally:
            process.kill()
            process.wait()


def sending() -> Row:
    """A whole mailing, 5 % of it put off once, against the same messages over one connection without a ledger."""
    mails = [mail(number) for number in range(MAILS)]
    plan, renderer = BenchPlan(mails), shop_renderer()
    with tempfile.TemporaryDirectory() as folder:
        home, log = Path(folder) / "shop", Path(folder) / "log"
        with closing(open_store(ShopFolder(home).store)) as store:
            rows = [
                {"item_id": each.item_id, "title": each.title, "price": each.price, "currency": each.currency}
                for each in map(item, range(ITEMS))
            ]
            with store.transaction():
                store.catalog.put(pl.DataFrame(rows, schema=ITEM_SCHEMA))
                for each in mails:
                    store.profiles.put(each.customer_id, [Consent("email", True, "form", 1)])
            with server(log) as port:
                pace = Pace(connections=8, first_pause=0.2)
                to = DeliverySettings(
                    SENDER, "The Shop Ltd", "https://shop.example/", "https://shop.example",
                    MailServer("127.0.0.1", port, Security.NONE), pace,
                )  # fmt: skip
                clocks = SendClocks(lambda: NOW, time.monotonic)
                began = time.perf_counter()
                done = send(ShopFolder(home), store, plan, Restraint(), to, clocks)
                seconds = time.perf_counter() - began
                messages = [
                    message_bytes(renderer.render(each), SENDER, each.address, each.name, f"<{n}@shop.example>", NOW)
                    for n, each in enumerate(mails[: MAILS // 4])
                ]
                plain = _plain(port, messages, mails)
            taken = log.read_text().split("\n")[1:-1]
    lost = MAILS - len(set(taken[:MAILS]))
    sent = done.totals.states[MailState.SENT]
    return Row(
        f"{MAILS:,} mails sent to aiosmtpd, {done.sending.retries} put off once", COMMAND,
        f"{MAILS / seconds:,.0f}/s, {MAILS / seconds / plain:.1f} × one connection without a ledger; "
        f"{sent:,} sent, {lost} lost",
        f"≥ {SENT}/s, nothing lost",
    )  # fmt: skip


def _plain(port: int, messages: Sequence[bytes], mails: Sequence[PlannedMail]) -> float:
    began = time.perf_counter()
    with smtplib.SMTP("127.0.0.1", port) as smtp:
        for message, each in zip(messages, mails, strict=False):
            smtp.sendmail(SENDER.address, each.address, message)
    return len(messages) / (time.perf_counter() - began)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help="be the mail server")
    if parser.parse_args().serve:
        asyncio.run(serve())
        return
    print("| what | measured | target |\n|---|---|---|")
    for row in (*rendering(), sending()):
        print(f"| {row.what} | {row.measured} | {row.target} |", flush=True)


if __name__ == "__main__":
    main()
