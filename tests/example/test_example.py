"""The example as a whole: the page, the demo, and the same survey on every broker."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import time
from pathlib import Path

import psutil
import psycopg
import pymysql
import pytest

from tests.cluster.ground import LONG
from tests.example.conftest import DEMO_LIMIT, Site
from tests.servers import Server
from tests.waiting import wait_until

LAST_LINE = re.compile(r"(\d+) tasks, (\d+) done, 2 failed on purpose, \d+\.\d s")

BROKERS = ["sqlite", "redis", *(["on_postgres", "on_mariadb"] if LONG else [])]


# Which broker and which database; each gives the settings that the site finds in its environment.


@pytest.fixture
def sqlite() -> dict[str, str]:
    return {}


@pytest.fixture
def redis(redis_url: str) -> dict[str, str]:
    return {"EXAMPLE_Q_CLUSTER": json.dumps({"redis": redis_url})}


@pytest.fixture
def on_postgres(postgres: Server) -> dict[str, str]:
    where = f"host=127.0.0.1 port={postgres.port} user=postgres dbname=postgres"
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS example WITH (FORCE)")
        connection.execute("CREATE DATABASE example")
    return _database("postgresql", postgres, "postgres")


@pytest.fixture
def on_mariadb(mariadb: Server) -> dict[str, str]:
    with pymysql.connect(host="127.0.0.1", port=mariadb.port, user="root") as connection:
        with connection.cursor() as cursor:
            cursor.execute("DROP DATABASE IF EXISTS example")
            cursor.execute("CREATE DATABASE example CHARACTER SET utf8mb4")
    return _database("mysql", mariadb, "root")


def _database(engine: str, server: Server, user: str) -> dict[str, str]:
    return {
        "EXAMPLE_DB_ENGINE": engine,
        "EXAMPLE_DB_NAME": "example",
        "EXAMPLE_DB_HOST": "127.0.0.1",
        "EXAMPLE_DB_PORT": str(server.port),
        "EXAMPLE_DB_USER": user,
    }


@pytest.mark.timeout(2 * DEMO_LIMIT)
@pytest.mark.parametrize("broker", BROKERS)
def test_the_demo_analyses_every_file_once_on_every_broker(
    site: Site, broker: str, plain_digest: str, request: pytest.FixtureRequest
) -> None:
    site.environment |= request.getfixturevalue(broker)

    code, text = site.run("demo.py")

    assert code == 0, text
    last = LAST_LINE.fullmatch(text.splitlines()[-1])
    assert last, text
    assert "http://127.0.0.1:" in text
    assert max(len(line) for line in text.splitlines()) <= 80
    assert site.processes() == []
    found = site.ask("recount.py")
    assert found["total"] == found["rows"] == int(last[1])
    assert found["files"] == int(last[2]) == found["total"] - 2
    assert found["failed"] == ["survey.tasks.exceed_the_limit", "survey.tasks.fail_on_purpose"]
    assert found["digest"] == plain_digest


def test_the_page_starts_a_survey_and_shows_it(site: Site) -> None:
    seen = site.ask("visit.py")

    assert "Nothing has been surveyed yet" in seen["empty"]
    assert (seen["start_by_get"], seen["start_without_token"], seen["start"]) == (405, 403, 302)
    assert seen["before"]["total"] == 5
    assert (seen["before"]["ended"], seen["before"]["finished"]) == (0, False)
    assert "still running" in seen["again"]
    assert (seen["after"]["ended"], seen["after"]["failed"]) == (5, 2)
    assert seen["after"]["finished"] is True
    assert "What was found" in seen["done"]
    for text in ("this.py", "keyword.py", "badsyntax_3131.py", "fails on purpose", "Traceback"):
        assert text in seen["findings"]
    assert seen["gone"] == 404
    assert seen["admin"] == 200


def test_the_demo_says_so_when_the_cluster_dies(site: Site) -> None:
    demo = site.start("demo.py")
    qcluster = _wait_for_child(site, "qcluster")

    qcluster.kill()
    text, _ = demo.communicate(timeout=60)

    assert demo.returncode == 1
    assert "qcluster ended by itself" in text
    assert site.processes() == []


def test_the_demo_gives_up_when_nothing_moves(site: Site) -> None:
    code, text = site.run(str(Path(__file__).with_name("stall.py")))

    assert code == 1
    assert "No task ended for 2 s" in text
    assert "running" in text, "the end of the cluster's log is shown"
    assert site.processes() == []


def test_the_demo_stops_its_children_when_it_is_told_to_stop(site: Site) -> None:
    demo = site.start("demo.py")
    _wait_for_child(site, "qcluster")

    demo.send_signal(signal.SIGTERM)
    text, _ = demo.communicate(timeout=60)

    assert demo.returncode == 128 + signal.SIGINT
    assert "Interrupted" in text
    assert site.processes() == []


def test_ctrl_c_in_a_terminal_stops_everything(site: Site) -> None:
    terminal, inside = pty.openpty()
    demo = site.start("demo.py", stdin=inside, stdout=inside)
    os.close(inside)

    text = _read(terminal, until=r"\d+ of [\d,]+ tasks")
    demo.send_signal(signal.SIGINT)
    text += _read(terminal, until=r"Interrupted")
    os.close(terminal)

    assert demo.wait(60) == 128 + signal.SIGINT
    assert "\r\x1b[K" in text
    assert site.processes() == []


def _wait_for_child(site: Site, name: str) -> psutil.Process:
    """The process of the demo's child, once the demo has started it."""
    found = wait_until(lambda: _find_child(site, name), 30, what=f"manage.py {name}")
    assert found is not None
    return found


def _find_child(site: Site, name: str) -> psutil.Process | None:
    for process in site.processes():
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[1:3] == ["manage.py", name]:
                return process
    return None


def _read(terminal: int, until: str) -> str:
    """What comes out of a terminal until it matches, or the program ends."""
    text = ""
    end = time.monotonic() + 60
    while not re.search(until, text):
        assert time.monotonic() < end, text
        if select.select([terminal], [], [], 1)[0]:
            try:
                text += os.read(terminal, 65536).decode(errors="replace")
            except OSError:  # Linux says so when the other side has closed.
                break
    return text
