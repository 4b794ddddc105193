"""The local IronMQ refuses what the real one refuses; it counts, and goes wrong when it is told."""

import http.client
import json
import socket
import threading
import time

import pytest

from tests.servers.ironmq_process import PROJECT, TOKEN, IronMQ

LIMIT = 65_536


@pytest.fixture(scope="module")
def server():
    server = IronMQ("--limit", str(LIMIT)).start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def clean(server):
    yield
    server.heal()
    for queue in server.ask("GET", "?per_page=100")[1]["queues"]:
        server.ask("DELETE", f"/{queue['name'].replace(' ', '%20')}")


# What is refused.


@pytest.mark.parametrize("body", ["", '{"ids": [{"id":'])
def test_a_request_that_is_cut_off_does_nothing(server, body):
    server.ask("PUT", "/q", {})
    server.ask("POST", "/q/messages", {"messages": [{"body": "a"}]})
    head = (
        f"DELETE /3/projects/{PROJECT}/queues/q/messages HTTP/1.1\r\n"
        f"Authorization: OAuth {TOKEN}\r\nContent-Type: application/json\r\n"
        "Content-Length: 99\r\n\r\n"
    )

    with socket.create_connection(("127.0.0.1", server.port)) as cut:
        cut.sendall((head + body).encode())
        cut.shutdown(socket.SHUT_WR)
        assert cut.recv(1000) == b""

    assert server.ask("GET", "/q")[1]["queue"]["size"] == 1


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("POST", "/q/reservations", {"n": 0}),
        ("POST", "/q/reservations", {"n": 101}),
        ("POST", "/q/reservations", {"timeout": 29}),
        ("POST", "/q/reservations", {"timeout": 86_401}),
        ("POST", "/q/reservations", {"timeout": 30.5}),
        ("POST", "/q/reservations", {"wait": 31}),
        ("POST", "/q/reservations", {"wait": -1}),
        ("POST", "/q/reservations", {"limit": 1}),
        ("POST", "/q/messages", {}),
        ("POST", "/q/messages", {"messages": []}),
        ("POST", "/q/messages", {"messages": [{"body": ""}]}),
        ("POST", "/q/messages", {"messages": [{"body": 1}]}),
        ("POST", "/q/messages", {"messages": [{"body": "a", "delay": 604_801}]}),
        ("POST", "/q/messages", {"messages": [{"body": "a", "timeout": 60}]}),
        ("DELETE", "/q/messages", {"ids": [{"id": str(number)} for number in range(101)]}),
        ("DELETE", "/q/messages", {"ids": []}),
        ("PUT", "/q", {"queue": {"message_timeout": 29}}),
        ("PUT", "/q", {"queue": {"message_expiration": 2_592_001}}),
        ("PUT", "/q", {"queue": {"type": "multicast"}}),
        ("PUT", "/q", {"queue": {"dead_letter": {"queue_name": "d", "max_reservations": 1001}}}),
        ("GET", "/q/messages?n=101", None),
    ],
)
def test_what_is_out_of_range_is_refused(server, verb, path, body):
    server.ask("PUT", "/q", {})

    status, answer = server.ask(verb, path, body)

    assert status == 400
    assert answer["msg"]


@pytest.mark.parametrize("over", [0, 1])
def test_the_limit_is_that_of_the_request(server, over):
    frame = len('{"messages": [{"body": ""}]}')
    body = {"messages": [{"body": "x" * (LIMIT - frame + over)}]}

    status, answer = server.ask("POST", "/q/messages", body)

    assert status == (400 if over else 201)


def test_an_unknown_queue_is_not_found_unless_it_is_posted_to(server):
    for verb, path in (
        *(("GET", "/no"), ("DELETE", "/no"), ("PATCH", "/no"), ("POST", "/no/reservations")),
        *(("GET", "/no/messages"), ("DELETE", "/no/messages"), ("DELETE", "/no/messages/1")),
    ):
        body = None if verb == "GET" else {}
        assert server.ask(verb, path, body) == (404, {"msg": "Queue not found"})
    assert server.ask("POST", "/no/messages", {"messages": [{"body": "a"}]})[0] == 201
    assert server.ask("GET", "/no")[1]["queue"]["total_messages"] == 1


def test_an_unknown_path_or_verb_is_refused(server):
    assert server.ask("POST", "/q/messages/1/acknowledge", {})[0] == 404
    assert server.ask("PUT", "/q/reservations", {})[0] == 405


@pytest.mark.parametrize(
    ("project", "header", "kind"),
    [
        (PROJECT, {"Authorization": "OAuth other"}, "application/json"),
        (PROJECT, {"Authorization": f"Bearer {TOKEN}"}, "application/json"),
        (PROJECT, {}, "application/json"),
        ("other", {"Authorization": f"OAuth {TOKEN}"}, "application/json"),
        (PROJECT, {"Authorization": f"OAuth {TOKEN}"}, "text/plain"),
    ],
)
def test_who_is_not_let_in(server, project, header, kind):
    path = f"/3/projects/{project}/queues/q/messages"

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request(
        "POST", path, '{"messages": [{"body": "a"}]}', header | {"Content-Type": kind}
    )

    assert connection.getresponse().status == (401 if kind == "application/json" else 400)
    connection.close()


# Queues.


def test_queues_are_listed_in_their_order(server):
    for name in ("cats", "dogs", "cars", "with space"):
        server.ask("PUT", f"/{name.replace(' ', '%20')}", {})

    def names(query):
        return [queue["name"] for queue in server.ask("GET", query)[1]["queues"]]

    assert names("") == ["cars", "cats", "dogs", "with space"]
    assert names("?prefix=ca") == ["cars", "cats"]
    assert names("?per_page=1&previous=cars") == ["cats"]


def test_a_queue_is_made_changed_cleared_and_deleted(server):
    status, answer = server.ask("PUT", "/q", {"queue": {"message_timeout": 90, "type": "pull"}})
    assert (status, answer["queue"]["message_timeout"]) == (200, 90)
    assert "size" not in answer["queue"]
    server.ask("PATCH", "/q", {"queue": {"message_expiration": 100}})
    server.ask("POST", "/q/messages", {"messages": [{"body": "a"}, {"body": "b"}]})
    server.ask("POST", "/q/reservations", {})
    assert server.ask("GET", "/q")[1]["queue"] == {
        **{"project_id": PROJECT, "name": "q", "size": 2, "total_messages": 2, "type": "pull"},
        **{"message_timeout": 90, "message_expiration": 100},
    }

    assert server.ask("DELETE", "/q/messages", {}) == (200, {"msg": "Cleared"})
    assert server.ask("GET", "/q")[1]["queue"]["size"] == 0
    assert server.ask("DELETE", "/q", {}) == (200, {"msg": "Deleted"})
    assert server.ask("GET", "/q")[0] == 404


# Counting, and going wrong.


def test_requests_and_connections_are_counted_the_controls_are_not(server):
    server.reset_counts()

    server.ask("PUT", "/q", {})
    for _ in range(2):
        server.ask("POST", "/q/reservations", {})
    server.advance(1)

    assert server.counts() == {"put_queue": 1, "reserve": 2}
    assert (server.total(), server.connections()) == (3, 3)


def test_a_connection_is_kept_alive(server):
    server.reset_counts()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)

    for _ in range(3):
        headers = {"Authorization": f"OAuth {TOKEN}"}
        connection.request("GET", f"/3/projects/{PROJECT}/queues", headers=headers)
        assert connection.getresponse().read() == b'{"queues": []}'

    assert (server.total(), server.connections()) == (3, 1)
    connection.close()


def test_an_answer_can_be_prepared(server):
    server.fail("answer", "get_queue", status=503, times=1)
    server.fail("answer", "get_queue", status=429, text='{"msg": "slow down"}', times=1)

    assert server.ask("PUT", "/q", {})[0] == 200
    assert server.ask("GET", "/q")[0] == 503
    assert server.ask("GET", "/q") == (429, {"msg": "slow down"})
    assert server.ask("GET", "/q")[0] == 200

    server.fail(status=200, text="<html>")
    with pytest.raises(json.JSONDecodeError):
        server.ask("GET", "/q")


@pytest.mark.parametrize(("how", "size"), [("drop", 0), ("drop_after", 1)])
def test_a_connection_can_be_dropped(server, how, size):
    server.ask("PUT", "/q", {})
    server.fail(how, "post", times=1)

    with pytest.raises(http.client.RemoteDisconnected):
        server.ask("POST", "/q/messages", {"messages": [{"body": "a"}]})

    assert server.ask("GET", "/q")[1]["queue"]["size"] == size


def test_it_can_be_silent_until_it_is_healed(server):
    server.fail("silence")
    threading.Timer(0.2, server.heal).start()
    began = time.monotonic()

    with pytest.raises(http.client.RemoteDisconnected):
        server.ask("GET", "/q")

    assert time.monotonic() - began > 0.15
