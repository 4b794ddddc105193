"""Every text has a translation in every language, and says there what it says in English."""

import ast
import gettext
import re
from pathlib import Path

import pytest
from django.utils import translation
from django.utils.translation import gettext as djangos

from django_q.monitor.memory_screen import Reading, memory_lines
from django_q.monitor.memory_use import ClusterMemory, Machine, Process, Usage
from django_q.monitor.overview import Overview, Queue, Schedules, Tasks
from django_q.monitor.paint import Paint
from django_q.monitor.screen import overview_lines
from django_q.monitor.text import text_width
from django_q.monitor.watch import Sight
from django_q.monitor.watch_screen import View, screen_lines, snapshot_lines
from django_q.texts import CONTEXT, ngettext
from django_q.texts import gettext as translated
from scripts import messages
from tests.unit.heartbeats import start_cluster
from tests.unit.rows import START

PACKAGE = messages.ROOT / "django_q"
_PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[sd]")
#: The names of languages in Django, for the directories.
CODES = {"zh_Hans": "zh-hans"}

languages = pytest.mark.parametrize("language", messages.LANGUAGES)


def known() -> set[str | tuple[str, ...]]:
    return {text for text, _file in messages.texts()}


def forms(text: object) -> tuple[str, ...]:
    return tuple(text) if isinstance(text, (tuple, list)) else (str(text),)


@languages
def test_every_text_is_translated(language: str) -> None:
    catalogue = messages.read(language)
    found = {
        forms(message.id) if len(forms(message.id)) > 1 else message.id
        for message in catalogue
        if message.id
    }

    hint = "run `make messages`, then translate what it names"
    assert found == known(), hint
    assert not messages.missing(catalogue), hint
    assert not any(message.fuzzy for message in catalogue if message.id)


@languages
def test_the_tools_leave_a_catalogue_as_it_is(language: str, tmp_path: Path) -> None:
    path = tmp_path / "django.po"

    messages.write(messages.merged(language), path)

    # The same with Babel 2.16, 2.18 and 2.19; no head says which it was.
    before, after = (file.read_text("utf-8") for file in (messages.path_of(language), path))
    assert after == before
    assert "Babel" not in after


def test_a_plural_that_lacks_a_form_is_missing() -> None:
    catalogue = messages.read("ru")
    catalogue.add(("%d day", "%d days"), ("%d день", "%d дня"))

    assert messages.missing(catalogue) == ["('%d day', '%d days')"]


@languages
def test_placeholders_and_full_stops_agree(language: str) -> None:
    wrong = []
    for message in messages.read(language):
        for string in forms(message.string) if message.id else ():
            source = forms(message.id)[-1]
            same = sorted(_PLACEHOLDER.findall(source)) == sorted(_PLACEHOLDER.findall(string))
            stop = source.endswith(".") == string.endswith((".", "。"))
            if not (same and stop and string == string.strip()):
                wrong.append((source, string))

    assert not wrong


@languages
def test_what_django_reads_is_what_people_edit(language: str) -> None:
    path = messages.path_of(language)
    with path.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)

    for message in messages.read(language):
        if message.id:
            source = forms(message.id)
            for number, string in enumerate(forms(message.string)):
                text = f"{CONTEXT}\x04{source[0]}"
                key = text if len(source) == 1 else (text, number)
                assert compiled._catalog[key] == string  # type: ignore[attr-defined]


def test_the_tools_see_every_text() -> None:
    seen = {form for text in known() for form in forms(text)}
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name == "migrations":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id in messages.KEYWORDS:
                    text = node.args[0]
                    where = f"{path}:{node.lineno}"
                    assert isinstance(text, ast.Constant), f"{where}: not a plain text"
                    assert text.value in seen, f"{where}: in an f-string?"


def test_templates_have_no_texts_but_djangos() -> None:
    for path in PACKAGE.rglob("*.html"):
        text = path.read_text("utf-8")

        found = re.findall(
            r"{% (?:translate|trans) |blocktranslate[^%]*%}([^{]*{{[^}]*}}[^{]*)", text
        )
        assert all(" ".join(each.split()) == "By {{ filter_title }}" for each in found), path


@languages
def test_django_speaks_the_language(language: str) -> None:
    with translation.override(CODES.get(language, language)):
        assert translated("Failed tasks") != "Failed tasks"


@languages
def test_every_text_has_our_context(language: str) -> None:
    catalogue = messages.read(language)

    assert {message.context for message in catalogue if message.id} == {CONTEXT}


def test_our_words_are_not_put_into_the_mouths_of_others() -> None:
    with translation.override("de"):
        assert (translated("None"), djangos("None")) == ("Ohne", "-")
        assert (translated("Next"), djangos("Next")) == ("Nächster Beginn", "Next")


def test_no_text_is_translated_as_anybodys() -> None:
    for path in PACKAGE.rglob("*.py"):
        is_ours = path.name != "texts.py" and "translation import" in path.read_text("utf-8")
        assert not is_ours, f"{path}: take gettext from django_q.texts"


def test_russian_has_its_plurals() -> None:
    with translation.override("ru"):
        texts = [ngettext("%d more error.", "%d more errors.", n) % n for n in (1, 3, 5, 21)]

    assert texts == ["Ещё 1 ошибка.", "Ещё 3 ошибки.", "Ещё 5 ошибок.", "Ещё 21 ошибка."]


# Screens.


def figures() -> tuple[Overview, Sight, Reading]:
    stat = start_cluster(name="short", host="here", queue="mail")
    queue = Queue("mail", 1, None, 0)
    tasks = Tasks(1, 2, 3, 4.0)
    schedules = Schedules(1, None, 1, [("a", START)], paused=1, broken=1, broken_first=[("b", "c")])
    overview = Overview(stat.timestamp, "p", "b", [stat], [queue], tasks, schedules)
    sight = Sight(stat.timestamp, "p", "b", [stat], [queue], tasks, schedules, history=[1.0])
    roles = ("supervisor", "housekeeper", "worker")
    processes = [Process(role, 1, "idle", Usage(1, 2)) for role in roles]
    memory = ClusterMemory(stat, False, processes)
    return overview, sight, Reading(stat.timestamp, "p", [memory], Machine(1, 2))


@languages
@pytest.mark.usefixtures("database")
def test_screens_have_room_for_the_words(language: str, q_cluster: object) -> None:
    q_cluster(orm="default")  # type: ignore[operator]
    with translation.override(CODES.get(language, language)):
        overview, sight, reading = figures()
        lines = [*overview_lines(overview), *snapshot_lines(sight, Paint())]
        lines += screen_lines(sight, View(is_held=True), Paint())
        for with_workers in (True, False):
            lines += memory_lines(reading, Paint(), with_workers=with_workers)

    # Functions are cut where they are long; nothing else is.
    cuts = re.compile(r"\.\.(sks\.|hole_|ild_the_whole_nightly_report)")
    assert not [line for line in lines if ".." in cuts.sub("", line)]
    assert max(map(text_width, lines)) <= 80


def test_the_catalogues_are_where_django_looks() -> None:
    for language in messages.LANGUAGES:
        path = messages.path_of(language)
        assert path.relative_to(Path(PACKAGE)).parts == (
            "locale",
            language,
            "LC_MESSAGES",
            "django.po",
        )
