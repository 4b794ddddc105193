"""What the Disque server of the tests refuses, as the real one does; and its scans."""

import socket
from collections.abc import Iterator

import pytest

from .disque_thread import ThreadedNode


@pytest.fixture
def server() -> Iterator[ThreadedNode]:
    with ThreadedNode() as server:
        yield server


def add(server):
    return server.call("ADDJOB", "q", "body", 0)


def fetch(server):
    """Give the ids of what can be fetched now."""
    reply = server.call("GETJOB", "NOHANG", "COUNT", 100, "FROM", "q")
    return [job[1] for job in reply or []]


# Scans.


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_a_scan_meets_every_job_though_others_go_meanwhile(server, count):
    ids = {add(server) for _ in range(60)}
    gone = set(list(ids)[:20])
    cursor, met = b"0", set()

    while True:
        cursor, some = server.call("JSCAN", cursor, "COUNT", count, "QUEUE", "q")
        met |= set(some)
        if gone:
            server.call("DELJOB", gone.pop())
        if cursor == b"0":
            break

    assert met <= ids
    assert set(fetch(server)) <= met


# Refusals.


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("HELLO 3", "wrong number of arguments for 'hello' command"),
        ("MULTI", "unknown command 'MULTI'"),
        ("GETJOB COUNT 0 FROM q", "COUNT must be a number greater than zero"),
        ("GETJOB TIMEOUT -1 FROM q", "timeout is negative"),
        ("ADDJOB q b 0 TTL 0", "TTL must be a number > 0"),
        ("ADDJOB q b 0 REPLICATE 0", "REPLICATE must be between 1 and 65535"),
        ("ADDJOB q b 0 RETRY", "syntax error"),
        ("JSCAN abc", "invalid cursor"),
        ("JSCAN 0 0", "syntax error"),
        ("PAUSE q sideways", "syntax error"),
        ("ACKJOB " + "D" * 40, "BADID Invalid Job ID format."),
    ],
)
def test_what_the_real_one_refuses_is_refused(server, call, error):
    assert server.call(*call.split()) == f"!! ResponseError: {error}"


def test_one_bad_id_stops_the_whole_call(server):
    id = add(server)

    assert "BADID" in server.call("ACKJOB", id, "bad")

    assert fetch(server) == [id]


def test_a_full_server_takes_no_jobs_and_gives_them(server):
    id = add(server)

    server.call("CONFIG", "SET", "maxmemory", 3)

    assert server.call("ADDJOB", "q", "b", 0).startswith("!! OutOfMemoryError: ")
    assert fetch(server) == [id]


def test_without_the_password_nothing_is_answered():
    lines = [b"QLEN q", b"AUTH guess", b"AUTH a b", b"QLEN q", b"AUTH secret", b"QLEN q"]
    with (
        ThreadedNode("secret") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection,
        connection.makefile("rwb") as file,
    ):
        file.write(b"\r\n".join(lines) + b"\r\n")
        file.flush()

        assert [file.readline().decode().strip() for _ in lines] == [
            "-NOAUTH Authentication required.",
            "-ERR invalid password",
            "-ERR wrong number of arguments for 'auth' command",
            "-NOAUTH Authentication required.",
            "+OK",
            ":0",
        ]


@pytest.mark.parametrize(
    ("sent", "reply"),
    [
        (b"*x\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\n+PING\r\n", b"-ERR Protocol error: expected '$', got '+'\r\n"),
        (b"*1\r\n$-1\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    ],
)
def test_what_is_no_command_ends_the_connection(server, sent, reply):
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(sent)

        assert connection.recv(100) == reply
        assert connection.recv(100) == b""


def test_the_version_is_told(server):
    assert server.call("INFO")["disque_version"] == "1.0-rc1"
