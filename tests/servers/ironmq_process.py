"""The local IronMQ as a process of its own, with what tests ask of it beside the API."""

import http.client
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from .base import Server

#: Given to it and to the broker; the token is looked for in errors and logs.
PROJECT = "53a6e1d9f7c75b000600000b"
TOKEN = "hush-0123456789abcdef"
_ROOT = Path(__file__).parents[2]


class IronMQ(Server):
    """`IronMQ("--speed", "30")`; see `tests.servers.ironmq` for the words. Nothing is on disk."""

    name = "ironmq"

    def command(self) -> list[str]:
        """The module, with its options behind."""
        env = shutil.which("env")
        assert env is not None
        words = ["--port", str(self.port), "--project", PROJECT, "--token", TOKEN]
        places = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        return [
            *(env, f"PYTHONPATH={places}", "PYTHONDONTWRITEBYTECODE=1"),
            *(sys.executable, "-m", "tests.servers.ironmq", *words),
        ]

    def answers(self) -> bool:
        """Whether it counts."""
        return "counts" in self._control("GET", "counts")

    @property
    def url(self) -> str:
        """For `Q_CLUSTER["broker"]`."""
        return f"ironmq://{PROJECT}:{TOKEN}@127.0.0.1:{self.port}?protocol=http"

    @property
    def settings(self) -> dict[str, Any]:
        """For `Q_CLUSTER["iron_mq"]`."""
        login = {"project_id": PROJECT, "token": TOKEN}
        return {"host": "127.0.0.1", "port": self.port, "protocol": "http", **login}

    def counts(self) -> dict[str, int]:
        """Requests by their kind since the last reset, as in `{"reserve": 3, "post": 1}`."""
        return dict(self._control("GET", "counts")["counts"])

    def total(self) -> int:
        """All requests since the last reset: what Iron.io would bill."""
        return sum(self.counts().values())

    def connections(self) -> int:
        """Connections that requests came by since the last reset."""
        return int(self._control("GET", "counts")["connections"])

    def reset_counts(self) -> None:
        """Count from zero."""
        self._control("DELETE", "counts")

    def advance(self, seconds: float) -> None:
        """Turn the server's clock ahead."""
        self._control("POST", "clock", {"seconds": seconds})

    def fail(self, how: str = "answer", *kinds: str, **values: Any) -> None:
        """Let requests of these kinds go wrong: `Fault` in `tests.servers.ironmq` says how."""
        self._control("POST", "faults", {"how": how, "kinds": kinds, **values})

    def heal(self) -> None:
        """Let nothing go wrong any more."""
        self._control("DELETE", "faults")

    def ask(self, verb: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """Call the API itself; `path` begins behind `queues/`. Status and answer."""
        headers = {"Authorization": f"OAuth {TOKEN}", "Content-Type": "application/json"}
        return self._request(verb, f"/3/projects/{PROJECT}/queues{path}", body, headers)

    def _control(self, verb: str, what: str, body: Any = None) -> dict[str, Any]:
        return self._request(verb, f"/control/{what}", body, {})[1]

    def _request(
        self, verb: str, path: str, body: Any, headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(verb, path, data, headers)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()
