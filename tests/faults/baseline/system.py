"""django-q2 as the arena sees it: clusters in its own environment, and a process that it serves."""

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tests.cluster.ground import living
from tests.compat.environments import python_of
from tests.faults.findings import Findings
from tests.faults.systems import RECORD, System
from tests.processes import ROOT, ClusterProcess
from tests.servers import Postgres, Server
from tests.site import databases

#: The environment; the newest release in November 2026.
RELEASE = "django-q2 1.11.1"
#: What its documentation asks for: a time limit below `retry`, and an end to the attempts. All
#: else has its defaults, `retry` too: with the 5 seconds that we take, its ORM broker lends tasks
#: again that only wait in its cluster for being recorded.
ADVISED = {"retry": 60, "timeout": 50, "max_attempts": 3}


class DjangoQ2(System):
    """The same questions, asked of django-q2. Each scenario has a database of its own."""

    def __init__(self, settings: dict[str, Any], servers: Sequence[Server], folder: Path) -> None:
        super().__init__(settings, servers, folder)
        settings.pop("cache")  # ours
        settings |= ADVISED
        if "orm" in settings:
            settings["orm"] = "default"
        self._asked = 0
        self._python = str(python_of(RELEASE))
        home = folder / "home"
        home.mkdir()
        # The tests' own modules, without the module `django_q` beside them.
        (home / "tests").symlink_to(ROOT / "tests")
        self._variables = {
            "BASELINE_DATABASE": json.dumps(self._database()),
            "DJANGO_SETTINGS_MODULE": "tests.faults.baseline.settings",
            "PYTHONPATH": str(home),
        }

    def _database(self) -> dict[str, Any]:
        if "orm" not in self.settings:
            return databases.sqlite(str(self.folder))
        (server,) = self.servers
        assert isinstance(server, Postgres)
        name = self.settings["name"]
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return {**databases.server("postgres", server.port), "NAME": name}

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Run the process that does what it is asked."""
        settings = {"TEST_Q_CLUSTER": json.dumps(self.settings)}
        with open(self.folder / "deeds.log", "wb") as log:
            self._process = subprocess.Popen(
                [self._python, "-m", "tests.faults.baseline.deeds"],
                env={**os.environ, **self._variables, **settings},
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            self._do("migrate")
            yield
        finally:
            self._process.kill()
            with contextlib.suppress(BrokenPipeError):  # what it was asked and did not read
                self._process.communicate()

    def _ask(self, name: str, *arguments: Any) -> None:
        """Ask for one of its deeds, and do not wait for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([name, *arguments]) + "\n")
        self._process.stdin.flush()
        self._asked += 1

    def _do(self, name: str, *arguments: Any) -> Any:
        """Let it do one of its deeds, and give the answer; those asked for before are done then."""
        self._ask(name, *arguments)
        assert self._process.stdout is not None
        answers = [self._process.stdout.readline() for _ in range(self._asked)]
        self._asked = 0
        assert all(answers), (self.folder / "deeds.log").read_text()
        return json.loads(answers[-1])

    def connect(self) -> None:
        """Have a connection to the broker."""
        self._do("size")

    def start(self, *arguments: str, **settings: Any) -> ClusterProcess:
        """Start a cluster of its own; it does not know our settings, and passes them over."""
        values = {**self.settings, **settings}
        return ClusterProcess(
            self.folder, values, *arguments, python=self._python, **self._variables
        )

    # -- tasks -------------------------------------------------------------------------------

    def enqueue_many(self, calls: list[tuple[Any, ...]]) -> list[str]:
        """Begin to enqueue tasks that record these calls; their ids are not told.

        It has no other way than one by one. Whoever waited for the last would inject faults into a
        queue that is empty by then.
        """
        self._ask("enqueue_many", RECORD, calls)
        return []

    def enqueue(self, func: str, **kwargs: Any) -> str:
        """Enqueue one task; its id."""
        return str(self._do("enqueue", func, kwargs))

    def stored(self) -> int:
        """Count the recorded successes of the tasks that record."""
        return int(self._do("stored", RECORD))

    def outcome(self, task_id: str) -> tuple[bool, str] | None:
        """Give whether a task succeeded, and its result as text; None while there is no row."""
        found = self._do("outcome", task_id)
        return found and (found[0], found[1])

    def is_empty(self) -> bool:
        """Tell whether nothing waits and nothing is leased."""
        return bool(self._do("size") == 0)

    def forget(self) -> None:
        """Keep what is there: the next scenario has another database."""

    # -- processes ---------------------------------------------------------------------------

    def workers(self, cluster: ClusterProcess) -> list[psutil.Process]:
        """Give the workers that said they are ready and live, oldest first."""
        cluster.family()  # so that each is ended with the cluster
        said = re.findall(r"ready for work at (\d+)", cluster.log())
        return [psutil.Process(pid) for pid in living(map(int, said))]

    def is_whole(self, cluster: ClusterProcess, workers: int, without: int) -> bool:
        """Tell whether all workers are there, one pid not among them."""
        pids = [worker.pid for worker in self.workers(cluster)]
        return len(pids) == workers and without not in pids

    def check_deaths(self, pids: list[int], log: str, findings: Findings) -> None:
        """Count the deaths that the log tells of; it names neither the task nor the signal."""
        told = len(re.findall(r"reincarnated worker \S+ after death", log))
        findings.exactly("deaths logged", told, len(pids))

    # -- schedules ---------------------------------------------------------------------------

    def plan(self, func: str, name: str, next_run: datetime) -> None:
        """Keep an hourly schedule."""
        self._do("plan", func, name, next_run.isoformat())

    def damage(self, name: str) -> None:
        """Make a schedule one that cannot be read."""
        self._do("damage", name)

    def fired(self, func: str) -> list[tuple[str, datetime]]:
        """Give the schedule and the moment of sending for each recorded task of a function."""
        found = self._do("fired", func)
        return [(name, datetime.fromisoformat(moment)) for name, moment in found]

    def shows_error(self, name: str) -> bool:
        """Tell whether a schedule says what is wrong with it: it has no place for that."""
        return False
