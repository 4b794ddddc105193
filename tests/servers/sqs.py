"""Amazon SQS as moto and as ministack play it, and a relay that counts and disturbs requests.

moto is exact about limits, and slow; ministack is quick, and lenient. moto's old receipts go on
working after a message was lent again, ministack's do not (standard queues at Amazon: either).
"""

import collections
import http.client
import http.server
import importlib.util
import json
import os
import shutil
import socket
import sys
import threading
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from .base import MissingServer, Server

#: Keys and region that both take.
LOGIN = {
    "aws_region": "eu-west-1",
    "aws_access_key_id": "the-key-id",
    "aws_secret_access_key": "the-secret-key",
}
_JSON = "application/x-amz-json-1.0"


class _Sqs(Server):
    """What both have in common."""

    def answers(self) -> bool:
        """Whether it takes connections."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True

    @property
    def url(self) -> str:
        """For `"endpoint_url"`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, Any]:
        """For `Q_CLUSTER["sqs"]`."""
        return {**LOGIN, "endpoint_url": self.url}


class Moto(_Sqs):
    """moto's server, in this environment."""

    name = "moto"

    def command(self) -> list[str]:
        """moto with a lock; words in `options` follow."""
        if not all(importlib.util.find_spec(module) for module in ("moto", "flask", "flask_cors")):
            raise MissingServer("no moto: pip install moto flask flask-cors")
        script = str(Path(__file__).with_name("moto_server.py"))
        return [sys.executable, "-P", script, "-H", "127.0.0.1", "-p", str(self.port)]


class Ministack(_Sqs):
    """ministack, in an environment of its own, since it wants one version of botocore.

    `scripts/servers` makes that environment inside the one of the tests; `TEST_MINISTACK` names
    another program.
    """

    name = "ministack"
    #: By default it listens to the world. It would end containers that it takes for its own.
    _VARIABLES: ClassVar[tuple[str, ...]] = (
        "BIND_HOST=127.0.0.1",
        "SERVICES=sqs",
        "DOCKER_HOST=unix:///dev/null",
    )

    def command(self) -> list[str]:
        """The program, with its settings in the environment."""
        env = shutil.which("env")
        assert env is not None
        place = [f"GATEWAY_PORT={self.port}", f"TMPDIR={self.directory}"]
        return [env, *self._VARIABLES, *place, _ministack()]


def _ministack() -> str:
    path = os.environ.get("TEST_MINISTACK") or str(Path(sys.prefix, "ministack/bin/ministack"))
    if not Path(path).exists():
        raise MissingServer(
            "no ministack: scripts/servers makes an environment for it, "
            "or TEST_MINISTACK names the program"
        )
    return path


class Relay:
    """Stands between a broker and its server, in this process: counts, and answers itself.

    `with Relay(server.url) as relay:`; without a server, what is not in `prepare` fails.
    """

    def __init__(self, target: str = "") -> None:
        #: Operation -> how often it was asked for, as in `ReceiveMessage`.
        self.counts: collections.Counter[str] = collections.Counter()
        #: Operation and parameters of every request, in order.
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self._target = urlsplit(target)
        self._prepared: dict[str, list[tuple[int, str, dict[str, str]]]] = {}
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def prepare(self, operation: str, body: Any, status: int = 200, **headers: str) -> None:
        """Answer the next request for this operation so; text goes out as it is.

        `"*"` stands for all operations, and for all times.
        """
        text = body if isinstance(body, str) else json.dumps(body)
        self._prepared.setdefault(operation, []).append((status, text, headers))

    def refuse(self, operation: str, code: str, status: int = 400, message: str = "no") -> None:
        """Answer the next request for this operation with an error."""
        body = {"__type": f"com.amazonaws.sqs#{code}", "message": message}
        self.prepare(operation, body, status)

    def heal(self) -> None:
        """Forget what was prepared."""
        self._prepared = {}

    def answer(
        self, target: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes, dict[str, str]]:
        """Answer a request: as prepared, or as the server does."""
        operation = target.rpartition(".")[2]
        self.counts[operation] += 1
        self.requests.append((operation, json.loads(body)))
        if self._prepared.get(operation):
            status, text, extra = self._prepared[operation].pop(0)
            return status, text.encode(), {"Content-Type": _JSON, **extra}
        if "*" in self._prepared:
            status, text, extra = self._prepared["*"][0]
            return status, text.encode(), {"Content-Type": _JSON, **extra}
        assert self._target.port, f"no answer prepared for {operation}"
        connection = http.client.HTTPConnection("127.0.0.1", self._target.port, timeout=60)
        try:
            connection.request("POST", "/", body, headers)
            reply = connection.getresponse()
            return reply.status, reply.read(), dict(reply.getheaders())
        finally:
            connection.close()

    @property
    def url(self) -> str:
        """For `"endpoint_url"`."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def settings(self) -> dict[str, Any]:
        """For `Q_CLUSTER["sqs"]`."""
        return {**LOGIN, "endpoint_url": self.url}

    @property
    def total(self) -> int:
        """All requests so far."""
        return self.counts.total()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        relay = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # One packet a reply: else Nagle and the client wait 40 ms for each other.
            wbufsize = -1
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                target = self.headers.get("X-Amz-Target", "")
                kept = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
                status, reply, headers = relay.answer(target, body, kept)
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in ("connection", "content-length", "transfer-encoding"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
