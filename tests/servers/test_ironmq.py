"""The local IronMQ keeps the rules of v3 about reservations and time."""

import threading
import time

import pytest

from tests.servers.ironmq_process import IronMQ

TIMED_OUT = (403, {"msg": "Reservation timed out"})
NO_MESSAGE = (404, {"msg": "Message not found"})


@pytest.fixture(scope="module")
def server():
    server = IronMQ().start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def clean(server):
    yield
    for queue in server.ask("GET", "?per_page=100")[1]["queues"]:
        server.ask("DELETE", f"/{queue['name']}")


def post(server, *bodies, queue="q", delay=0):
    messages = [{"body": body, "delay": delay} for body in bodies]
    status, answer = server.ask("POST", f"/{queue}/messages", {"messages": messages})
    assert (status, answer["msg"]) == (201, "Messages put on queue.")
    return answer["ids"]


def reserve(server, n=10, *, timeout=30, wait=0, queue="q"):
    body = {"n": n, "timeout": timeout, "wait": wait}
    status, answer = server.ask("POST", f"/{queue}/reservations", body)
    assert status == 200
    return answer["messages"]


def bodies(messages):
    return [message["body"] for message in messages]


def info(server, queue="q"):
    return server.ask("GET", f"/{queue}")[1]["queue"]


# Reservations.


def test_a_reservation_hides_its_message_and_counts(server):
    (id,) = post(server, "a")

    (message,) = reserve(server)

    assert message["id"] == id
    assert (message["body"], message["reserved_count"]) == ("a", 1)
    assert reserve(server) == []
    assert server.ask("GET", "/q/messages")[1] == {"messages": []}
    assert server.ask("GET", f"/q/messages/{id}")[1]["message"]["reserved_count"] == 1
    assert info(server)["size"] == 1


def test_what_timed_out_goes_to_the_front_with_a_new_reservation(server):
    post(server, *"abcd")
    first = reserve(server, 2)

    server.advance(30)
    post(server, "e")
    again = reserve(server)

    assert bodies(again) == list("abcde")
    assert [message["reserved_count"] for message in again] == [2, 2, 1, 1, 1]
    assert first[0]["reservation_id"] != again[0]["reservation_id"]


def test_a_reserved_message_is_deleted_with_its_reservation_only(server):
    (id,) = post(server, "a")
    (message,) = reserve(server)
    reservation = {"reservation_id": message["reservation_id"]}

    assert server.ask("DELETE", f"/q/messages/{id}", {}) == TIMED_OUT
    assert server.ask("DELETE", f"/q/messages/{id}", {"reservation_id": "other"}) == TIMED_OUT
    assert server.ask("DELETE", f"/q/messages/{id}", reservation) == (200, {"msg": "Deleted"})
    assert server.ask("DELETE", f"/q/messages/{id}", reservation) == NO_MESSAGE
    assert info(server)["size"] == 0


def test_a_waiting_message_is_deleted_without_a_reservation(server):
    (id,) = post(server, "a")

    assert server.ask("DELETE", f"/q/messages/{id}", {})[0] == 200
    assert server.ask("DELETE", f"/q/messages/{id}", {}) == NO_MESSAGE
    assert reserve(server) == []


def test_an_old_reservation_is_worth_nothing(server):
    (id,) = post(server, "a")
    (message,) = reserve(server)
    old = {"reservation_id": message["reservation_id"]}
    server.advance(30)

    for verb, path in (("POST", "/touch"), ("POST", "/release"), ("DELETE", "")):
        assert server.ask(verb, f"/q/messages/{id}{path}", old) == TIMED_OUT
    reserve(server)
    for verb, path in (("POST", "/touch"), ("POST", "/release"), ("DELETE", "")):
        assert server.ask(verb, f"/q/messages/{id}{path}", old) == TIMED_OUT


def test_a_touch_gives_a_new_reservation_and_counts(server):
    (id,) = post(server, "a")
    (message,) = reserve(server)
    old = message["reservation_id"]
    server.advance(20)

    touch = {"reservation_id": old, "timeout": 30}
    status, answer = server.ask("POST", f"/q/messages/{id}/touch", touch)

    assert (status, answer["msg"]) == (200, "Touched")
    assert answer["reservation_id"] != old
    assert server.ask("POST", f"/q/messages/{id}/touch", touch) == TIMED_OUT
    server.advance(29)
    assert reserve(server) == []
    server.advance(1)
    assert reserve(server)[0]["reserved_count"] == 3


def test_a_released_message_goes_to_the_front(server):
    post(server, *"abc")
    (message,) = reserve(server, 1)
    path = f"/q/messages/{message['id']}/release"
    reservation = {"reservation_id": message["reservation_id"]}

    assert server.ask("POST", path, reservation) == (200, {"msg": "Released"})

    assert bodies(reserve(server)) == list("abc")


def test_a_released_message_may_be_held_back(server):
    post(server, "a")
    (message,) = reserve(server)
    body = {"reservation_id": message["reservation_id"], "delay": 60}
    server.ask("POST", f"/q/messages/{message['id']}/release", body)

    server.advance(59)
    assert reserve(server) == []
    server.advance(1)
    assert bodies(reserve(server)) == ["a"]


def test_many_are_deleted_as_a_whole_or_not_at_all(server):
    post(server, *"abc")
    messages = reserve(server)
    ids = [{"id": m["id"], "reservation_id": m["reservation_id"]} for m in messages]

    assert server.ask("DELETE", "/q/messages", {"ids": [*ids, {"id": "77"}]}) == NO_MESSAGE
    assert server.ask("DELETE", "/q/messages", {"ids": [{"id": ids[0]["id"]}]}) == TIMED_OUT
    assert info(server)["size"] == 3

    assert server.ask("DELETE", "/q/messages", {"ids": ids}) == (200, {"msg": "Deleted"})
    assert info(server)["size"] == 0


def test_a_message_that_was_reserved_too_often_is_a_dead_letter(server):
    options = {"dead_letter": {"queue_name": "dead", "max_reservations": 2}}
    server.ask("PUT", "/q", {"queue": options})
    (id,) = post(server, "a")
    for _ in range(2):
        assert bodies(reserve(server)) == ["a"]
        server.advance(30)

    assert reserve(server) == []

    (message,) = reserve(server, queue="dead")
    assert (message["id"], message["reserved_count"]) == (id, 3)


# Time.


def test_a_message_is_held_back(server):
    post(server, "a", delay=60)
    post(server, "b")

    assert bodies(reserve(server)) == ["b"]
    assert info(server)["size"] == 2
    server.advance(60)
    assert "a" in bodies(reserve(server))


def test_a_message_expires_even_while_it_is_reserved(server):
    server.ask("PUT", "/q", {"queue": {"message_expiration": 3600}})
    post(server, "a")
    post(server, "b", queue="other")
    reserve(server, timeout=86_400)

    server.advance(3600)
    assert info(server)["size"] == 0
    server.advance(604_800 - 3600)
    assert info(server, "other")["size"] == 0


def test_a_call_waits_until_a_message_comes(server):
    server.ask("PUT", "/q", {})
    timer = threading.Timer(0.2, post, (server, "late"))
    timer.start()
    began = time.monotonic()

    assert bodies(reserve(server, wait=30)) == ["late"]
    assert 0.15 < time.monotonic() - began < 5
    timer.join()


@pytest.mark.parametrize(("held_back", "expected"), [(0, []), (10, ["due"])])
def test_a_second_of_a_quick_server_is_short(held_back, expected):
    server = IronMQ("--speed", "50").start()
    try:
        server.ask("PUT", "/q", {})
        if held_back:
            post(server, "due", delay=held_back)
        began = time.monotonic()

        assert bodies(reserve(server, wait=30)) == expected

        assert time.monotonic() - began >= (held_back or 30) / 50 - 0.01
    finally:
        server.stop()
