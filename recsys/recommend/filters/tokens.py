"""What is refused of a filter before it is parsed: what is too long, too deep, or no part of the language."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import Token, Tokenizer, TokenType
from sqlglot.errors import TokenError

from recsys.recommend.filters.error import FilterError

MOST_CHARACTERS = 2_000
MOST_DEPTH = 30
MOST_TERMS = 200

_KNOWN = "what docs/filters.md describes: conditions on attributes, joined by AND, OR and NOT"
_SIGNS = frozenset(
    {
        TokenType.L_PAREN, TokenType.R_PAREN, TokenType.COMMA, TokenType.DOT, TokenType.COLON, TokenType.EQ,
        TokenType.NEQ, TokenType.LT, TokenType.LTE, TokenType.GT, TokenType.GTE, TokenType.PLUS, TokenType.DASH,
        TokenType.STAR, TokenType.SLASH,
    }
)  # fmt: skip
_WORDS = frozenset(
    {
        TokenType.AND, TokenType.OR, TokenType.NOT, TokenType.IN, TokenType.BETWEEN, TokenType.LIKE, TokenType.ESCAPE,
        TokenType.IS,
    }
)  # fmt: skip
_REFUSED = frozenset(
    {
        "select", "from", "where", "with", "union", "except", "intersect", "join", "case", "when", "then", "else",
        "cast", "try_cast", "exists", "interval", "glob", "regexp", "rlike", "ilike", "collate", "distinct", "as",
        "insert", "update", "delete", "drop", "isnull", "notnull", "symmetric", "xor", "over", "similar", "having",
    }
)  # fmt: skip
"""Words that mean something else in SQL; as the name of an attribute they stand in quotes."""


def checked_tokens(text: str) -> Sequence[Token]:
    """The tokens of a filter; names behind a colon or a dot are names, whatever they mean elsewhere. Raises
    FilterError."""
    if len(text) > MOST_CHARACTERS:
        raise FilterError(f"{len(text)} characters", at=None, expected=f"at most {MOST_CHARACTERS}")
    try:
        tokens = Tokenizer().tokenize(text)
    except TokenError as error:
        raise _unended(text) from error
    if not tokens:
        raise FilterError("nothing", at=None, expected="a condition, such as price < 10")
    depth, signs, terms = 0, 0, 0
    opened: list[tuple[int, int]] = []
    for place, token in enumerate(tokens):
        _check(text, token, named=place > 0 and _names(tokens[place - 1]))
        if token.token_type is TokenType.L_PAREN:
            opened.append((signs, token.start))
            signs = 0
        elif token.token_type is TokenType.R_PAREN:
            signs = opened.pop()[0] if opened else 0
        elif token.token_type in (TokenType.NOT, TokenType.DASH, TokenType.PLUS):
            signs += 1
        elif token.token_type not in _SIGNS and token.token_type not in _WORDS:
            terms += 1
            signs = 0
        depth = len(opened) + sum(signs for signs, _ in opened) + signs
        if depth > MOST_DEPTH:
            raise FilterError("one thing inside another", at=token.start, expected=f"at most {MOST_DEPTH} deep")
        if terms > MOST_TERMS:
            expected = f"at most {MOST_TERMS} names, numbers and texts"
            raise FilterError("one more term", at=token.start, expected=expected, remedy="give a list as a parameter")
    if opened:
        raise FilterError("a parenthesis that is not closed", at=opened[-1][1], expected="another one at its end")
    return [_as_name(token) if place and _names(tokens[place - 1]) else token for place, token in enumerate(tokens)]


def _names(token: Token) -> bool:
    """Whether what follows can be nothing but a name."""
    return token.token_type in (TokenType.COLON, TokenType.DOT)


def _as_name(token: Token) -> Token:
    if token.token_type in _SIGNS or token.token_type in (TokenType.STRING, TokenType.NUMBER, TokenType.IDENTIFIER):
        return token
    return Token(TokenType.VAR, token.text, token.line, token.col, token.start, token.end)


def _check(text: str, token: Token, *, named: bool) -> None:
    """Refuses a token that no filter has; `named` is whether it can be nothing but a name."""
    if token.comments:
        # A comment may stand before its token or behind it.
        at = next((place for place in _outside_quotes(text) if text[place : place + 2] in ("--", "/*", "{#")), 0)
        raise FilterError("a comment", at=at, expected="none; a minus before another one needs a blank between them")
    kind, word = token.token_type, token.text
    if kind in _SIGNS or kind in _WORDS or kind in (TokenType.STRING, TokenType.NUMBER, TokenType.IDENTIFIER):
        if kind is TokenType.IDENTIFIER and text[token.start] != '"':
            raise FilterError(f"the quote {text[token.start]}", at=token.start, expected='" around a name')
        return
    if not word.replace("_", "a").isalnum() or (word.casefold() in _REFUSED and not named):
        raise FilterError(f"{word[:40]!r}", at=token.start, column=word[:40], expected=_KNOWN)


def _outside_quotes(text: str) -> list[int]:
    """The places that are in no text and no quoted name."""
    places, quote = [], ""
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            places.append(place)
    return places


def _unended(text: str) -> FilterError:
    """The error of a text or a name that does not end, or of a character that nothing begins with."""
    quote, begin = "", 0
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"`":
            quote, begin = character, place
    if quote:
        return FilterError("a quote that is not closed", at=begin, expected=f"another {quote} at its end")
    return FilterError("characters that cannot be read", at=0, expected="a condition, such as price < 10")
