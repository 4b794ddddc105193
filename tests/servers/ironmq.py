"""A local IronMQ v3 over real HTTP; the rules are in `ironmq_rules`, the answers in `ironmq_api`.

    python -m tests.servers.ironmq --port 8080 --project PROJECT --token TOKEN

`--limit` is the plan's limit of a request in bytes, 65536 or 262144. With `--speed 30` a second of
the server lasts a thirtieth of a real one: a reservation of 30 s lapses after one, a long poll of
30 s ends after one. Nothing is kept on disk.

Beside the API there are, without a token and uncounted:

    GET    /control/counts    {"counts": {kind: requests}, "connections": n}
    DELETE /control/counts    count from zero
    POST   /control/clock     {"seconds": 30}: turn the clock ahead
    POST   /control/faults    {"how", "status", "text", "times", "kinds"}: see Fault
    DELETE /control/faults    be well again
"""

import argparse
import http.server
import json
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.servers.ironmq_api import Api, Fault
from tests.servers.ironmq_rules import Body, Refused

#: Verb and the parts of the path behind the queue -> kind of request; `*` is an id.
KINDS = {
    ("PUT", ()): "put_queue",
    ("PATCH", ()): "patch_queue",
    ("GET", ()): "get_queue",
    ("DELETE", ()): "delete_queue",
    ("POST", ("messages",)): "post",
    ("GET", ("messages",)): "peek",
    ("DELETE", ("messages",)): "delete_many",
    ("POST", ("reservations",)): "reserve",
    ("GET", ("messages", "*")): "get_message",
    ("DELETE", ("messages", "*")): "delete",
    ("POST", ("messages", "*", "touch")): "touch",
    ("POST", ("messages", "*", "release")): "release",
}


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection, kept alive."""

    protocol_version = "HTTP/1.1"
    # One packet a reply: else Nagle and the client wait 40 ms for each other.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: "IronServer"
    is_counted = False

    def answer_request(self) -> None:
        """Answer one request of either half of the server."""
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length)
        if len(data) < length:  # who sent it died half-way; what is left may say something else
            self.close_connection = True
            return
        url = urlsplit(self.path)
        parts = [unquote(part) for part in url.path.split("/")[1:]]
        try:
            if parts[0] == "control":
                self._reply(200, self.server.control(self.command, parts[1:], data))
                return
            kind, path = self._find(parts)
            self._serve(kind, path, data, url.query)
        except Refused as error:
            self._reply(error.status, {"msg": error.text})

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer_request

    def _serve(self, kind: str, path: list[str], data: bytes, query: str) -> None:
        api = self.server.api
        with api.change:
            api.counts[kind] += 1
            api.connections += not self.is_counted
            self.is_counted = True
            fault = api.fault_for(kind)
        if fault is None or fault.how == "drop_after":
            answer = api.do(kind, path, self._body(data, query))
        if fault is None:
            self._reply(*answer)
        elif fault.how == "answer":
            self._reply(fault.status, fault.text or {"msg": "as the test wants it"})
        else:
            if fault.how == "silence":
                with api.change:
                    api.change.wait_for(lambda: fault not in api.faults)
            self.close_connection = True

    def _find(self, parts: list[str]) -> tuple[str, list[str]]:
        """Give the kind of request, and queue and message; refuses what is not let in."""
        api = self.server.api
        if self.headers.get("Authorization") != f"OAuth {api.token}":
            raise Refused(401, "Unauthorized")
        if len(parts) < 4 or parts[:2] != ["3", "projects"] or parts[3] != "queues":
            raise Refused(404, "Not found")
        if parts[2] != api.project:
            raise Refused(401, "Invalid project/token combination")
        path = parts[4:]
        if not path and self.command == "GET":
            return "list_queues", []
        form = tuple("*" if place == 1 else part for place, part in enumerate(path[1:]))
        kind = KINDS.get((self.command, form))
        if kind is None or not all(path):
            raise Refused(405 if any(f == form for _, f in KINDS) else 404, "Not found")
        return kind, [path[0], *path[2:3]]

    def _body(self, data: bytes, query: str) -> Body:
        if self.command == "GET":
            pairs = ((key, values[0]) for key, values in parse_qs(query).items())
            return {key: int(value) if value.isdigit() else value for key, value in pairs}
        if self.headers.get_content_type() != "application/json":
            raise Refused(400, "Content-Type must be application/json")
        if len(data) > self.server.api.limit:
            raise Refused(400, f"the request is larger than {self.server.api.limit} bytes")
        try:
            body = json.loads(data or b"{}")
        except ValueError as error:
            raise Refused(400, f"not JSON: {error}") from error
        if not isinstance(body, dict):
            raise Refused(400, "the body must be an object")
        return body

    def _reply(self, status: int, answer: Body | str) -> None:
        data = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class IronServer(http.server.ThreadingHTTPServer):
    """The server: a thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, api: Api) -> None:
        self.api = api
        super().__init__(("127.0.0.1", port), Handler)

    def control(self, verb: str, parts: list[str], data: bytes) -> Body:
        """Do what a test asks for; the answer is always what was counted."""
        api, asked = self.api, json.loads(data or b"{}")
        with api.change:
            counted = {"counts": dict(api.counts), "connections": api.connections}
            if (verb, parts) == ("DELETE", ["counts"]):
                api.counts.clear()
                api.connections = 0
            elif (verb, parts) == ("POST", ["clock"]):
                api.clock.advance(asked["seconds"])
            elif (verb, parts) == ("POST", ["faults"]):
                api.faults.append(Fault(**asked))
            elif (verb, parts) == ("DELETE", ["faults"]):
                api.faults.clear()
            elif (verb, parts) != ("GET", ["counts"]):
                raise Refused(404, "no such control")
            api.change.notify_all()
        return counted


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="A local IronMQ v3 for tests.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--project", default="project")
    parser.add_argument("--token", default="token")
    parser.add_argument("--limit", type=int, default=262_144)
    parser.add_argument("--speed", type=float, default=1.0)
    asked = parser.parse_args()
    api = Api(asked.project, asked.token, asked.limit, asked.speed)
    IronServer(asked.port, api).serve_forever()


if __name__ == "__main__":
    main()
