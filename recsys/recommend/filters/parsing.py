"""From the text of a filter to its tree, by sqlglot's parser; what filters do not know is refused where it stands."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache

from sqlglot import Token, TokenType, exp
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.parser import Parser

from recsys.recommend.filters.error import FilterError
from recsys.recommend.filters.functions import called
from recsys.recommend.filters.syntax import (
    Arithmetic,
    Attribute,
    Column,
    Comparison,
    Condition,
    Constant,
    Contains,
    Every,
    Flag,
    Is,
    IsNull,
    Like,
    Moment,
    Not,
    OneOf,
    Parameter,
    Some,
    Value,
)
from recsys.recommend.filters.tokens import MOST_DEPTH, checked_tokens

CUSTOMER = "customer"
NOW = "now"

_COMPARISONS: Mapping[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_ARITHMETIC: Mapping[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
_A_CONDITION = "a condition, such as price < 10 AND category = 'Crime'"


@lru_cache(maxsize=1_000)
def condition_of(text: str) -> Condition:
    """The tree of a filter. Raises FilterError with the place of what is wrong."""
    tokens = checked_tokens(text)
    try:
        (parsed,) = Parser().parse_into(exp.Condition, list(tokens), text)
    except ParseError as error:
        raise _misplaced(text, tokens, error) from error
    except (RecursionError, SqlglotError, ValueError) as error:
        raise FilterError("what cannot be read", at=0, expected=_A_CONDITION) from error
    if parsed is None:
        raise FilterError("nothing", at=None, expected=_A_CONDITION)
    return _Reading(text, tokens, parsed).condition(parsed)


def _misplaced(text: str, tokens: Sequence[Token], error: ParseError) -> FilterError:
    """The parser's error in our words."""
    about = error.errors[0] if error.errors else {}
    line, column = about.get("line"), about.get("col")
    token = next((each for each in tokens if (each.line, each.col) == (line, column)), tokens[-1])
    word = text[token.start : token.end + 1]
    if token is tokens[-1] and "Required" in str(about.get("description")):
        return FilterError(f"nothing after {word[:40]!r}", at=token.end + 1, expected=_A_CONDITION)
    return FilterError(f"{word[:40]!r}, which does not fit here", at=token.start, expected=_A_CONDITION)


class _Reading:
    """One tree of the parser's, while it is read."""

    def __init__(self, text: str, tokens: Sequence[Token], parsed: exp.Expr) -> None:
        self._text = text
        # The parser does not say where these stand; in the tree they have the order of the text.
        self._places: dict[int, int] = {}
        self._note(parsed, exp.Placeholder, [each.start for each in tokens if each.token_type is TokenType.COLON])
        self._note(parsed, exp.Null, [each.start for each in tokens if each.token_type is TokenType.NULL])
        truths = [each.start for each in tokens if each.token_type in (TokenType.TRUE, TokenType.FALSE)]
        self._note(parsed, exp.Boolean, truths)

    def _note(self, parsed: exp.Expr, kind: type[exp.Expr], places: Sequence[int]) -> None:
        for node, place in zip(parsed.find_all(kind, bfs=False), places, strict=False):
            self._places[id(node)] = place

    def condition(self, node: exp.Expr) -> Condition:
        """The condition of a node."""
        node = node.unnest()
        at = self._at(node)
        if isinstance(node, exp.And | exp.Or):
            parts = tuple(self.condition(part) for part in _chain(node, type(node)))
            return Every(parts, at) if isinstance(node, exp.And) else Some(parts, at)
        sign = _COMPARISONS.get(type(node))
        if sign is not None:
            return Comparison(sign, self.value(node.this), self.value(node.expression), at)
        match node:
            case exp.Not():
                return Not(self.condition(node.this), at)
            case exp.In():
                return self._one_of(node, at)
            case exp.Between():
                return self._between(node, at)
            case exp.Like():
                return self._like(node, None, at)
            case exp.Escape():
                return self._escaped(node, at)
            case exp.Is():
                return self._is(node, at)
            case exp.Func():
                return self._asked(node, at)
            case exp.Boolean() | exp.Column() | exp.Placeholder() | exp.Null():
                return Flag(self.value(node), at)
        raise self._strange(node)

    def value(self, node: exp.Expr) -> Value:
        """The value of a node."""
        node = node.unnest()
        at = self._at(node)
        sign = _ARITHMETIC.get(type(node))
        if sign is not None:
            return self._arithmetic(node, sign, at)
        if type(node) in _COMPARISONS:
            raise FilterError("a comparison of a comparison", at=at, expected="two of them, as in 1 < a AND a < 3")
        match node:
            case exp.Literal():
                return self._literal(node, at)
            case exp.Boolean():
                return Constant(bool(node.this), at)
            case exp.Null():
                return Constant(None, at)
            case exp.Neg():
                negative = self.value(node.this)
                if isinstance(negative, Constant) and isinstance(negative.value, float):
                    return Constant(-negative.value, at)
                return Arithmetic("-", Constant(0.0, at), negative, at)
            case exp.Column():
                return self._column(node, at)
            case exp.Placeholder():
                if not isinstance(node.this, str):
                    raise FilterError("a parameter without a name", at=at, expected="a name, as in :max")
                return Parameter(node.this, at)
            case exp.Func():
                moment = self._call(node, at)
                if isinstance(moment, Moment):
                    return moment
                raise FilterError("a condition where a value is needed", at=at, expected="it to stand for itself")
        raise self._strange(node)

    def _arithmetic(self, node: exp.Expr, sign: str, at: int) -> Value:
        parts = _chain(node, type(node)) if sign in "+*" else [node.this, node.expression]
        made = self.value(parts[0])
        for part in parts[1:]:
            made = Arithmetic(sign, made, self.value(part), at)
        return made

    def _literal(self, node: exp.Literal, at: int) -> Constant:
        if node.is_string:
            return Constant(str(node.this), at)
        try:
            number = float(node.this)
        except ValueError:
            number = math.inf
        if not math.isfinite(number):
            raise FilterError(f"the number {str(node.this)[:40]}", at=at, expected="one that fits into 64 bits")
        return Constant(number, at)

    def _column(self, node: exp.Column, at: int) -> Column | Attribute | Moment:
        name = node.this
        if not isinstance(name, exp.Identifier):
            raise self._strange(node)
        if node.args.get("db") is not None or node.args.get("join_mark"):
            raise FilterError("a name of more than two parts", at=at, expected='one part; other names as in "a.b"')
        table = node.args.get("table")
        if table is not None:
            if table.this != CUSTOMER:
                expected = f"{CUSTOMER}.{name.this}, or a name without a dot: of the item"
                raise FilterError(f"{table.this[:40]!r} before a dot", at=at, column=table.this[:40], expected=expected)
            return Attribute(name.this, at)
        if not name.args.get("quoted") and name.this.lower() == NOW:
            return Moment(0, at)
        return Column(name.this, at)

    def _one_of(self, node: exp.In, at: int) -> Condition:
        self._only(node, "this", "expressions", "field")
        field = node.args.get("field")
        if field is None:
            if not node.expressions:
                raise FilterError("an empty list", at=at, expected="something between the parentheses")
            return OneOf(self.value(node.this), tuple(self.value(each) for each in node.expressions), at)
        several = self.value(field)
        if isinstance(several, Parameter | Attribute):
            return OneOf(self.value(node.this), several, at)
        if isinstance(several, Column):
            return Contains(self.value(node.this), several, at)
        expected = "a list in parentheses, a parameter, or an attribute that is a list"
        raise FilterError("what is no list after IN", at=several.at, expected=expected)

    def _between(self, node: exp.Between, at: int) -> Condition:
        self._only(node, "this", "low", "high")
        value, low, high = (self.value(node.args[part]) for part in ("this", "low", "high"))
        return Every((Comparison(">=", value, low, at), Comparison("<=", value, high, at)), at)

    def _like(self, node: exp.Like, escape: str | None, at: int) -> Condition:
        self._only(node, "this", "expression", "negate")
        like = Like(self.value(node.this), self.value(node.expression), escape, at)
        return Not(like, at) if node.args.get("negate") else like

    def _escaped(self, node: exp.Escape, at: int) -> Condition:
        escape, like = node.expression, node.this
        negated = isinstance(like, exp.Not)
        like = like.this if negated else like
        if not isinstance(like, exp.Like):
            raise FilterError("ESCAPE without LIKE", at=at, expected="it behind the pattern of LIKE")
        if not (isinstance(escape, exp.Literal) and escape.is_string and len(escape.this) == 1):
            raise FilterError("what follows ESCAPE", at=self._at(escape), expected="a text of one character")
        made = self._like(like, str(escape.this), at)
        return Not(made, at) if negated else made

    def _is(self, node: exp.Is, at: int) -> Condition:
        wanted = node.expression
        if isinstance(wanted, exp.Null):
            return IsNull(self.value(node.this), at)
        if isinstance(wanted, exp.Boolean):
            return Is(self.condition(node.this), bool(wanted.this), at)
        raise FilterError("what follows IS", at=self._at(wanted), expected="NULL, NOT NULL, TRUE or FALSE")

    def _asked(self, node: exp.Func, at: int) -> Condition:
        """A function that is a condition."""
        made = self._call(node, at)
        if isinstance(made, Moment):
            raise FilterError("a time where a condition is needed", at=at, expected="as in published > ago('30d')")
        return made

    def _call(self, node: exp.Func, at: int) -> Condition | Moment:
        name = str(node.this) if isinstance(node, exp.Anonymous) else node.sql_name()
        given = node.expressions if isinstance(node, exp.Anonymous) else []
        arguments = [self.value(each) for each in given]
        if name.lower() == "has":
            if len(arguments) == 2 and isinstance(arguments[0], Column):
                return Contains(arguments[1], arguments[0], at)
            raise FilterError("has with other arguments", at=at, column="has", expected="has(tags, 'x')")
        if name.lower() == NOW and not arguments:
            return Moment(0, at)
        fixed = [each for each in arguments if isinstance(each, Constant | Column)]
        if len(fixed) < len(arguments):
            wrong = next(each for each in arguments if not isinstance(each, Constant | Column))
            raise FilterError(f"an argument of {name[:40]}", at=wrong.at, expected="a text or a number as it is")
        return called(name, at, fixed)

    def _only(self, node: exp.Expr, *known: str) -> None:
        """Refuses what a node says beside these."""
        if any(value for key, value in node.args.items() if key not in known):
            raise self._strange(node)

    def _strange(self, node: exp.Expr) -> FilterError:
        at = self._at(node)
        what = type(node).__name__
        return FilterError(f"{what}, which filters do not know", at=at, column=what, expected=_A_CONDITION)

    def _at(self, node: exp.Expr) -> int:
        """Where a node begins."""
        first = sys.maxsize
        for part in node.walk():
            first = min(first, part.meta.get("start", first), self._places.get(id(part), first))
        return first if first < len(self._text) else 0


def _chain(node: exp.Expr, kind: type[exp.Expr]) -> list[exp.Expr]:
    """The parts of a chain of one operator, without going deep."""
    parts: list[exp.Expr] = []
    while type(node) is kind:
        parts.append(node.expression)
        node = node.this
    parts.append(node)
    return parts[::-1]


assert sys.getrecursionlimit() > MOST_DEPTH * 12  # noqa: S101 - a filter of the greatest depth can be read
