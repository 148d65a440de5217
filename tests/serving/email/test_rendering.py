"""Templates, texts, links and messages."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from recsys.errors import InputError
from serving.email.links import is_link, tracked
from serving.email.message import Sender, message_bytes, message_id
from serving.email.preview import write_previews
from serving.email.render import Rendered, Renderer
from serving.email.templates import SHIPPED, find_template, load_template
from serving.email.texts import check_texts, texts_of
from tests.serving.email.mailings import BLOCKS, ITEM, MAIL, NOW, TestPlan, settings

UNSUBSCRIBE = "https://shop.example/v1/email/unsubscribe/token.sig"


def renderer(name: str = "cards", own_texts: Path | None = None) -> Renderer:
    """With a shipped template."""
    return Renderer(
        load_template(find_template(name, None)),
        shop="The Shop",
        imprint="The Shop Ltd, 1 Long Road",
        home_page="https://shop.example/",
        language="en",
        own_texts=own_texts,
        unsubscribe_url=lambda _customer, _purpose: UNSUBSCRIBE,
    )


class _Page(HTMLParser):
    """Visible text and links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.links, self.skipped = "", set[str](), 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.skipped += tag in ("style", "title")
        self.links |= {value or "" for name, value in attrs if tag == "a" and name == "href"}

    def handle_endtag(self, tag: str) -> None:
        self.skipped -= tag in ("style", "title")

    def handle_data(self, data: str) -> None:
        self.text += "" if self.skipped else data


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("*.mjml")))
def test_html_and_text_say_the_same(name: str) -> None:
    """Every heading, title, reason and link of the blocks, and the way out, stand in both, and nothing is fetched from
    a stranger."""
    rendered = renderer(name).render(MAIL)
    page = _Page(rendered.html)
    for block in BLOCKS:
        for text in (block.heading, *(part for item in block.items for part in (item.title, item.reason) if part)):
            assert text in page.text
            assert text in rendered.text
    links = set(re.findall(r"https://\S+", rendered.text))
    assert links == page.links
    assert UNSUBSCRIBE in links
    assert all("bm_rec=token.signature" in link for link in links - {UNSUBSCRIBE})
    assert "€12.50" in rendered.text
    assert "googleapis" not in rendered.html
    assert "prefers-color-scheme: dark" in rendered.html
    assert "width=device-width" in rendered.html


NASTY = st.text(min_size=1, max_size=30) | st.sampled_from(
    ['"><script>alert(1)</script>', "{{ 7*7 }}", "a\r\nBcc: x@y.z", "a\0\x1b[31m"]
)


@hypothesis_settings(max_examples=60, deadline=None)
@given(title=NASTY, theme=NASTY, name=NASTY)
def test_whatever_a_shop_s_texts_hold_stays_text(title: str, theme: str, name: str) -> None:
    """No markup, no template, no header of its own; and the library reads the message back as it was meant."""
    item = replace(ITEM, title=title, author=title, reason=name, url='javascript:alert("x")')
    mail = replace(MAIL, theme=theme, name=name, blocks=(replace(BLOCKS[0], items=(item,)),))
    rendered = _RENDERER.render(mail)
    assert "<script" not in rendered.html
    assert "javascript:" not in rendered.html + rendered.text
    message = read_back(rendered, name)
    assert set(message.keys()) == HEADERS
    assert message["Subject"] == " ".join(rendered.subject.encode(errors="replace").decode().split())
    assert message["To"].addresses[0].addr_spec == "ann@example.com"


_RENDERER = renderer()
HEADERS = {
    "From", "To", "Subject", "Date", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post", "Auto-Submitted",
    "MIME-Version", "Content-Type",
}  # fmt: skip


def read_back(rendered: Rendered, name: str | None = "Ann") -> EmailMessage:
    """The message as the library reads it, checked line by line."""
    raw = message_bytes(rendered, Sender("The Shop", "mail@shop.example"), "ann@example.com", name, "<1@shop>", NOW)
    assert raw.isascii()
    assert re.search(rb"(?<!\r)\n|\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", raw) is None
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


@pytest.mark.parametrize("language", ["en", "de", "ko"])
def test_a_message_is_read_as_it_was_meant(language: str) -> None:
    """Both parts, in any language; one-click headers as RFC 8058 has them."""
    rendered = renderer().render(replace(MAIL, language=language, theme="한국어 – ä" * 20, name="Groß, Jürgen"))
    message = read_back(rendered, "Groß, Jürgen")
    assert message["Subject"] == rendered.subject
    assert message["To"].addresses[0].display_name == "Groß, Jürgen"
    assert message["List-Unsubscribe"] == f"<{UNSUBSCRIBE}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    text, page = (part.get_content() for part in message.iter_parts())
    assert text.splitlines() == rendered.text.splitlines()
    assert html.unescape(page).splitlines() == html.unescape(rendered.html).splitlines()


def test_a_line_that_is_too_long_is_broken_for_the_way_alone() -> None:
    """A title of two thousand letters comes out whole."""
    rendered = renderer().render(replace(MAIL, blocks=(replace(BLOCKS[0], items=(replace(ITEM, title="x" * 2_000),)),)))
    page = list(read_back(rendered).iter_parts())[1].get_content()
    assert "x" * 2_000 in page


def test_message_ids_are_always_the_same_and_tell_nobody() -> None:
    """Of one customer in one mailing; of another mailing or customer it is another."""
    first = message_id(b"s" * 32, "m1", "ann", "shop.example")
    assert first == message_id(b"s" * 32, "m1", "ann", "shop.example")
    others = {message_id(b"s" * 32, *each, "shop.example") for each in (("m1", "bob"), ("m2", "ann"), ("m1a", "nn"))}
    assert len(others | {first}) == 4
    assert "ann" not in first
    assert re.fullmatch(r"<[0-9a-f]{32}@shop\.example>", first)


def template(body: str, head: str = "") -> str:
    """MJML with a body."""
    inside = f"<mj-section><mj-column>\n{body}\n</mj-column></mj-section>"
    return f"<mjml>\n<mj-head>{head}</mj-head>\n<mj-body>\n{inside}\n</mj-body>\n</mjml>\n"


LINK = '<mj-text><a href="{{ unsubscribe_url }}">out</a></mj-text>'


@pytest.mark.parametrize(
    ("source", "line", "said"),
    [
        (template("<mj-text>no way out</mj-text>"), 7, "no link to unsubscribe"),
        (template(f"<mj-raw>{{% if greeting %}}</mj-raw>{LINK}<mj-raw>{{% endif %}}</mj-raw>"), 5, "not in every mail"),
        (template(f"<mj-raw><!-- {LINK} --></mj-raw>"), 5, "no link to unsubscribe"),
        (template("<mj-text>{{ unsubscribe_url }}</mj-text>"), 5, "no link to unsubscribe"),
        (template(f"{LINK}\n<mj-text>{{{{ custumer }}}}</mj-text>"), 6, "custumer"),
        (template(f"{LINK}\n<mj-text>{{% for b in blocks %}}</mj-text>"), 6, "Unexpected end of template"),
        (template(f"{LINK}\n<mj-text>{{% for b in blocks %}}{{{{ b.tilte }}}}{{% endfor %}}</mj-text>"), 6, "tilte"),
        (template(f"{LINK}\n<mj-txt>x</mj-txt>"), 6, "mj-txt"),
        (template(f"{LINK}\n<mj-text>x</mj-column>"), 6, "</mj-column> ends what was not begun"),
        ("", 1, "no MJML"),
    ],
)  # fmt: skip
def test_a_template_that_does_not_fit_is_refused_with_its_line(
    tmp_path: Path, source: str, line: int, said: str
) -> None:
    """No link to unsubscribe in some mail, an unknown name or element, broken markup."""
    path = tmp_path / "own.mjml"
    path.write_text(source)
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        load_template(path)
    assert caught.value.found.startswith(f"{path}:{line}: ")


def test_a_shop_s_own_template_is_found_first(tmp_path: Path) -> None:
    """By its name in the shop's folder; one that is nowhere is refused with the names that there are."""
    (tmp_path / "cards.mjml").write_text(template(LINK))
    assert find_template(None, tmp_path) == tmp_path / "cards.mjml"
    assert find_template("letter", tmp_path) == SHIPPED / "letter.mjml"
    with pytest.raises(InputError, match="cards, letter"):
        find_template("nothing", tmp_path)
    load_template(tmp_path / "cards.mjml")


def test_texts_of_a_shop_replace_single_ones(tmp_path: Path) -> None:
    """German for Austria too; where nobody wrote any, the shop's language; a path is no language."""
    (tmp_path / "de.toml").write_text('unsubscribe = "Weg damit"\n')
    assert texts_of("de-AT", tmp_path, "en").unsubscribe == "Weg damit"
    assert texts_of("de-AT", tmp_path, "en").why == texts_of("de", None, "en").why
    assert texts_of("fr", tmp_path, "ko") == texts_of("ko", None, "en")
    assert texts_of("../../de", tmp_path, "en") == texts_of("en", None, "en")
    with pytest.raises(InputError, match="no texts in the language 'fr'"):
        texts_of("xx", tmp_path, "fr")


@pytest.mark.parametrize(
    ("source", "line"), [('why = "x"\nwhat = "y"', 2), ('\nwhy = "{naem}"', 2), ('why = "{shop"', 1), ("why = 5", 1)]
)
def test_texts_that_do_not_fit_are_refused_with_their_line(tmp_path: Path, source: str, line: int) -> None:
    """An unknown text, an unknown name in braces, a brace that is not closed, what is no text."""
    (tmp_path / "en.toml").write_text(source)
    with pytest.raises(InputError, match=f"en.toml:{line}: "):
        check_texts(tmp_path)


def test_links_lead_to_the_shop_with_what_tells_of_the_mail() -> None:
    """The query and the fragment of the shop's own link stay; an older token goes."""
    url = tracked("https://shop.example/b?page=1&bm_rec=old&utm_source=x#top", "spring", "tok.en")
    assert url == (
        "https://shop.example/b?page=1&utm_source=bookmatch&utm_medium=email&utm_campaign=spring&bm_rec=tok.en#top"
    )


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "//evil.example", "https://", "https://a b", 'https://a"b', "data:x", "", None]
)
def test_what_is_no_link_of_the_web_is_none(url: str | None) -> None:
    """And the shop's home page stands in its place."""
    assert not is_link(url)
    rendered = _RENDERER.render(replace(MAIL, blocks=(replace(BLOCKS[0], items=(replace(ITEM, url=url),)),)))
    assert "https://shop.example/?utm_source" in rendered.text


def test_previews_are_files_to_open(tmp_path: Path) -> None:
    """A page, a text and a message for each mail, and one page that shows them all."""
    plan = TestPlan([MAIL, replace(MAIL, customer_id="bob", theme="<b>")])
    index = write_previews(plan.header, plan.planned, tmp_path / "p", tmp_path / "email", settings(25), NOW)
    names = {path.name for path in index.parent.iterdir()}
    assert names == {"index.html"} | {f"mail-00{n}.{end}" for n in (1, 2) for end in ("html", "txt", "eml")}
    assert "&lt;b&gt;" in index.read_text()
    message = message_from_bytes((index.parent / "mail-001.eml").read_bytes(), policy=policy.default)
    assert message["To"].addresses[0].addr_spec == MAIL.address
