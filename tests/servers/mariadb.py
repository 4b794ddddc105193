"""MariaDB: Debian's programs."""

import getpass
import shutil
from typing import Any

import pymysql

from .base import MissingServer, Server, find

#: Small, and no disk is waited for: what is written reaches the operating system at each commit
#: (2), so that a killed *process* loses nothing.
_FAST = (
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=32M",
    "--skip-log-bin",
    "--skip-name-resolve",
)


class MariaDB(Server):
    """Database `django_q`, user `root` without a password."""

    name = "mariadb"
    database = "django_q"

    def prepare(self) -> None:
        """Make the data directory."""
        self.run(
            _find("mariadb-install-db"),
            *("--no-defaults", f"--datadir={self.directory}/data", *self._user()),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
        )

    def command(self) -> list[str]:
        """Its own files only, none of the machine's."""
        return [
            _find("mariadbd"),
            *("--no-defaults", f"--datadir={self.directory}/data", *self._user()),
            *("--bind-address=127.0.0.1", f"--port={self.port}", "--max-connections=200"),
            *(f"--socket={self.directory}/socket", f"--pid-file={self.directory}/pid"),
            f"--tmpdir={self.directory}",
            *("--character-set-server=utf8mb4", *_FAST),
        ]

    def answers(self) -> bool:
        """Whether a session can be opened."""
        self._connect().close()
        return True

    def ready(self) -> None:
        """Make the database."""
        connection = self._connect()
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {self.database} CHARACTER SET utf8mb4")
        connection.close()

    @property
    def url(self) -> str:
        """In the common form; Django wants the parts."""
        return f"mysql://root@127.0.0.1:{self.port}/{self.database}"

    def _connect(self) -> "pymysql.connections.Connection[Any]":
        return pymysql.connect(host="127.0.0.1", port=self.port, user="root", connect_timeout=5)

    def _user(self) -> tuple[str, ...]:
        # The server insists on being told when it shall run as root.
        return (f"--user={getpass.getuser()}",)


def _find(program: str) -> str:
    found = find(f"/usr/sbin/{program}", f"/usr/bin/{program}") or shutil.which(program)
    if not found:
        raise MissingServer("no MariaDB: apt-get install mariadb-server")
    return str(found)
