"""Brings the catalogues in django_q/locale up to date with the source: `make messages`.

Needs Babel, and none of GNU's tools. Translations that are there stay; new texts come in empty,
and are told. Both forms of a catalogue are committed: people edit the .po, Django reads the .mo.
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel import Locale
from babel.messages import Catalog, extract, mofile, pofile

from django_q.texts import CONTEXT

ROOT = Path(__file__).parents[1]
LOCALE = ROOT / "django_q" / "locale"
#: Directory names as Django wants them.
LANGUAGES = ("de", "es", "fr", "ru", "tr", "zh_Hans")
KEYWORDS = {"_": None, "gettext": None, "gettext_lazy": None, "ngettext": (1, 2)}


def _lasting_heads(catalogue: Catalog) -> list[tuple[str, str]]:
    """Give the heads of a catalogue without the version of Babel, which would change it each time.

    The last one ends its line, as that did.
    """
    heads = [head for head in Catalog.mime_headers.fget(catalogue) if head[0] != "Generated-By"]
    return [*heads[:-1], (heads[-1][0], f"{heads[-1][1]}\n")]


class _Catalogue(Catalog):
    mime_headers = property(_lasting_heads, Catalog.mime_headers.fset)


def main() -> int:
    """Write all catalogues; the exit code is 1 if a translation is missing."""
    is_missing = False
    for language in LANGUAGES:
        catalogue = merged(language)
        write(catalogue, path_of(language))
        for text in missing(catalogue):
            is_missing = True
            print(f"{language}: {text!r}")
    return int(is_missing)


def path_of(language: str) -> Path:
    """Give the path of a catalogue that people edit."""
    return LOCALE / language / "LC_MESSAGES" / "django.po"


def texts() -> Iterator[tuple[str | tuple[str, ...], str]]:
    """Give the texts of the source and the file of each."""
    found = extract.extract_from_dir(
        str(ROOT / "django_q"), [("migrations/**", "ignore"), ("**.py", "python")], {}, KEYWORDS
    )
    for name, _line, text, _comments, _context in found:
        yield text, f"django_q/{name}"


def read(language: str) -> Catalog:
    """Give a catalogue as it is; an empty one of a language that is new."""
    path = path_of(language)
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return pofile.read_po(file, locale=language)


def merged(language: str) -> Catalog:
    """Give the catalogue of the source's texts, with the translations that are there."""
    old = read(language)
    name = Locale.parse(language).english_name
    new = _Catalogue(
        locale=language,
        project="django-q3",
        version="3",
        msgid_bugs_address="",
        header_comment=f"# Texts of Django Q in {name}.",
        creation_date=old.creation_date,
        revision_date=old.creation_date,
        last_translator="django-q3 contributors",
        language_team=name,
        fuzzy=False,
    )
    # Babel's own differ from version to version.
    new.mime_headers = [("Plural-Forms", old.plural_forms)]
    for text, file in sorted(texts(), key=lambda found: (found[1], str(found[0]))):
        known = old.get(text[0] if isinstance(text, tuple) else text, CONTEXT)
        string = known.string if known else None
        new.add(text, string, locations=[(file, 0)], context=CONTEXT)
    return new


def missing(catalogue: Catalog) -> list[str]:
    """Give the texts that have no translation, or not all of their plurals."""
    return [
        str(message.id)
        for message in catalogue
        if message.id and not is_done(message, catalogue.num_plurals)
    ]


def is_done(message: object, plurals: int) -> bool:
    """Tell whether a text is translated in all its forms."""
    string = getattr(message, "string", None)
    if isinstance(string, (tuple, list)):
        return len(string) == plurals and all(string)
    return bool(string)


def write(catalogue: Catalog, path: Path) -> None:
    """Write both forms."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        pofile.write_po(file, catalogue, width=100, include_lineno=False)
    path.with_suffix(".mo").write_bytes(compiled(catalogue))


def compiled(catalogue: Catalog) -> bytes:
    """Give the form that Django reads."""
    file = io.BytesIO()
    mofile.write_mo(file, catalogue)
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(main())
