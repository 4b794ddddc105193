"""The arguments of a schedule: any values, into its columns and back.

What Python can write literally stands as text in the columns `args` and `kwargs`, where people
change it. All else is signed, as a pickle or as JSON, in the column `sealed`, and the texts only
show it; once somebody has changed a text, the texts count.

The housekeeper reads them, and runs no user code: it hands a pickle on unopened, as `Deferred`.
"""

import ast
import hashlib
import pickle
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.core.signing import BadSignature

from django_q import signing
from django_q.conf import Conf
from django_q.exceptions import PackageRejected

#: Characters of a value that cannot be written literally which its column shows.
_LONGEST_TEXT = 2000
_ATOMS = (str, bytes, int, float, complex, bool, type(None))
#: What `ast.literal_eval` makes of texts that are no literals, or too long or deep for it.
_UNREADABLE = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError)


class Kept(NamedTuple):
    """What stands in the columns of the same names."""

    args: str
    kwargs: str
    sealed: str | None


class Arguments(NamedTuple):
    """What a schedule's task is called with."""

    args: "tuple[Any, ...] | Deferred"
    kwargs: "dict[str, Any] | Deferred"
    #: Its options, those in `q_options`.
    options: dict[str, Any]


class Deferred:
    """A part of a pickle, on its way to a worker; in a package that is opened it is that part."""

    def __init__(self, data: bytes, part: str, more: Mapping[str, Any] | None = None) -> None:
        self._data = data
        self._part = part
        self._more = dict(more or {})

    def __reduce__(self) -> tuple[Any, ...]:
        return open_part, (self._data, self._part, self._more)

    def with_more(self, more: Mapping[str, Any]) -> "Deferred":
        """Give this with more keywords."""
        return Deferred(self._data, self._part, self._more | dict(more))

    def open(self) -> Any:
        """Give the part here and now. Unpickling is user code, and may raise anything."""
        return open_part(self._data, self._part, self._more)


def open_part(data: bytes, part: str, more: Mapping[str, Any]) -> Any:
    """Give a part of a pickle that stood behind a signature; `more` are further keywords."""
    value = pickle.loads(data)[part]
    return value | more if more else value


def keep(args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> Kept:
    """Bring arguments and options into the form of the columns.

    Raises ValueError for an option that can be kept in no column, and whatever pickling raises, or
    writing as JSON where `Q_CLUSTER["serializer"]` says so.
    """
    shown = dict(kwargs) | ({"q_options": dict(options)} if options else {})
    if _is_literal(args) and _is_literal(shown):
        return Kept(repr(args), repr(shown), None)
    texts = _show(args), _show(shown)
    parts: dict[str, Any] = {"args": args, "kwargs": dict(kwargs)}
    plain = dict(options)
    if not _is_literal(plain.get("chain")):
        parts["chain"], plain["chain"] = plain["chain"], True
    for name, value in plain.items():
        if not _is_literal(value):
            raise ValueError(f"The option {name!r} is {value!r:.100}: a schedule cannot keep that.")
    digest = _digest(*texts)
    # A pickle as bytes: checking the signature then runs nothing of what is inside.
    is_pickle = Conf.SERIALIZER != "json"
    data = pickle.dumps(parts, pickle.HIGHEST_PROTOCOL) if is_pickle else parts
    return Kept(*texts, f"{digest}:{signing.seal(data, 'schedule', digest)}\n{plain!r}")


def read(args: str | None, kwargs: str | None, sealed: str | None = None) -> Arguments:
    """Give what stands in the columns; a pickle stays closed, JSON has no code to run.

    Raises ValueError with the reason when it cannot be read.
    """
    if is_sealed(args, kwargs, sealed):
        return _unseal(str(sealed))
    keywords = parse_kwargs(kwargs)
    options = keywords.pop("q_options", None) or {}
    if not isinstance(options, dict):
        raise ValueError(f"q_options is {options!r:.100}: give a dict of options.")
    return Arguments(parse_args(args), keywords, options)


def is_sealed(args: str | None, kwargs: str | None, sealed: str | None) -> bool:
    """Tell whether `sealed` counts: whether the texts are still those that show it."""
    return bool(sealed) and str(sealed).partition(":")[0] == _digest(args, kwargs)


def parse_args(text: str | None) -> tuple[Any, ...]:
    """Read positional arguments: literals with commas between, or a single one.

    Raises ValueError for any other text.
    """
    if not text or not text.strip():
        return ()
    stripped = text.strip()
    # Python goes on to the next line only within brackets.
    value = _literal(f"({stripped}\n)" if "\n" in stripped else stripped, "arguments", text)
    return value if isinstance(value, tuple) else (value,)


def parse_kwargs(text: str | None) -> dict[str, Any]:
    """Read keyword arguments: the literal of a dict, or `name=literal, ...`.

    Raises ValueError for any other text.
    """
    if not text or not text.strip():
        return {}
    stripped = text.strip()
    if stripped.startswith("{"):
        value = _literal(stripped, "keyword arguments", text)
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise ValueError(f"The keyword arguments {text!r:.200} are no dict of names.")
        return value
    return _parse_call(text)


def _parse_call(text: str) -> dict[str, Any]:
    """Read what would stand between the brackets of a call."""
    try:
        call = ast.parse(f"f({text}\n)", mode="eval").body
    except _UNREADABLE as error:
        raise _unreadable("keyword arguments", text, error) from error
    is_call = isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    if not isinstance(call, ast.Call) or not is_call or call.args:
        raise ValueError(f"The keyword arguments {text!r:.200} are not of the form x=1, y='two'.")
    found: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg is None or keyword.arg in found:
            raise ValueError(f"The keyword arguments {text!r:.200} need one name for each value.")
        found[keyword.arg] = _literal(keyword.value, "keyword arguments", text)
    return found


def _literal(source: str | ast.expr, what: str, text: str) -> Any:
    try:
        return ast.literal_eval(source)
    except _UNREADABLE as error:
        raise _unreadable(what, text, error) from error


def _unreadable(what: str, text: str, error: BaseException) -> ValueError:
    # Without the address of the node in question.
    reason = str(error).partition("\n")[0].partition(": <")[0] or type(error).__name__
    return ValueError(f"The {what} {text!r:.200} are not written as Python literals: {reason}")


def _unseal(sealed: str) -> Arguments:
    head, _, options_text = sealed.partition("\n")
    digest, _, text = head.partition(":")
    try:
        data = signing.unseal(text, "schedule", digest)
        if isinstance(data, bytes):
            signing.check_pickles()
    except BadSignature as error:
        raise ValueError(
            f"The signature of its arguments does not match ({error}): they were sealed with "
            "another SECRET_KEY or project name, or changed. Make the schedule anew."
        ) from error
    except PackageRejected as error:
        raise ValueError(
            f"Its arguments are refused: {error} Make the schedule anew, or allow what was refused "
            "and enable the schedule."
        ) from error
    options: dict[str, Any] = _literal(options_text, "options", options_text)
    if isinstance(data, dict):
        chain = {"chain": data["chain"]} if "chain" in data else {}
        return Arguments(data["args"], data["kwargs"], options | chain)
    if options.get("chain") is True:
        options["chain"] = Deferred(data, "chain")
    return Arguments(Deferred(data, "args"), Deferred(data, "kwargs"), options)


def _is_literal(value: Any) -> bool:
    try:
        return _is_plain(value) and bool(ast.literal_eval(repr(value)) == value)
    except _UNREADABLE:
        return False


def _is_plain(value: Any) -> bool:
    """Tell whether this is made of built-in types only: an heir would come back without itself."""
    kind = type(value)
    if kind in (tuple, list, set):
        return all(map(_is_plain, value))
    if kind is dict:
        return all(map(_is_plain, value)) and all(map(_is_plain, value.values()))
    return kind in _ATOMS


def _show(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # code of the values
        text = f"<{type(value).__name__} that cannot be shown>"
    # In the form in which it comes back from a page where nothing was changed.
    text = " ".join(text.replace("\0", "\\0").split())
    printable = text.encode("utf-8", "backslashreplace").decode()
    return printable if len(printable) <= _LONGEST_TEXT else f"{printable[:_LONGEST_TEXT]}…"


def _digest(args: str | None, kwargs: str | None) -> str:
    return hashlib.sha256(f"{args or ''}\0{kwargs or ''}".encode()).hexdigest()[:32]
