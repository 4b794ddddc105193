"""Servers that refuse a login or talk nonsense: told with the setting, and work goes on after."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import redis

from django_q.exceptions import BrokerError
from django_q.tasks import async_task
from tests.cluster.ground import wait_task
from tests.processes import ClusterProcess
from tests.servers import Relay, Valkey
from tests.servers.ironmq_process import TOKEN, IronMQ

Start = Callable[..., Any]


class Trouble(NamedTuple):
    """A server that is there, and does not serve until it is mended."""

    settings: dict[str, Any]
    #: What the texts say.
    words: str
    mend: Callable[[], object]
    #: What no text may show.
    secret: str


@contextlib.contextmanager
def _redis_login(request: pytest.FixtureRequest) -> Iterator[Trouble]:
    assert request.getfixturevalue("valkey")  # skips the test where there is none
    server = Valkey().start()
    try:
        with redis.Redis(port=server.port) as client:
            client.config_set("requirepass", "another")
            settings = {"redis": server.url.replace("//", "//:hush-hush@")}
            words = r'Check user and password in Q_CLUSTER\["redis"\]'
            yield Trouble(settings, words, lambda: _take_password(server, "hush-hush"), "hush-hush")
    finally:
        server.stop()


def _take_password(server: Valkey, password: str) -> None:
    with redis.Redis(port=server.port, password="another") as client:
        client.config_set("requirepass", password)


@contextlib.contextmanager
def _sqs(request: pytest.FixtureRequest, words: str, **answer: Any) -> Iterator[Trouble]:
    with Relay(request.getfixturevalue("ministack").url) as relay:
        relay.prepare("*", **answer)
        settings = {"sqs": relay.settings, "cluster_name": f"refusals-{id(relay)}"}
        yield Trouble(settings, words, relay.heal, relay.settings["aws_secret_access_key"])


def _sqs_keys(request: pytest.FixtureRequest) -> Any:
    body = {"__type": "com.amazonaws.sqs#InvalidClientTokenId", "message": "no"}
    return _sqs(request, 'Check the credentials: "aws_access_key_id"', body=body, status=403)


def _sqs_nonsense(request: pytest.FixtureRequest) -> Any:
    return _sqs(request, 'without JSON.*See "endpoint_url"', body="<html>")


@contextlib.contextmanager
def _ironmq(words: str, **answer: Any) -> Iterator[Trouble]:
    server = IronMQ().start()
    try:
        server.fail("answer", **answer)
        yield Trouble({"iron_mq": server.settings, "retry": 30}, words, server.heal, TOKEN)
    finally:
        server.stop()


def _ironmq_login(request: pytest.FixtureRequest) -> Any:
    return _ironmq('Check "token" and "project_id"', status=401, text='{"msg": "no"}')


def _ironmq_nonsense(request: pytest.FixtureRequest) -> Any:
    return _ironmq('no JSON object.*See "host"', status=200, text="<html>")


KINDS = (_redis_login, _sqs_keys, _sqs_nonsense, _ironmq_login, _ironmq_nonsense)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__.strip("_"))
def test_a_server_that_does_not_serve_is_told_and_waited_for(
    kind: Callable[..., Any],
    request: pytest.FixtureRequest,
    database: str,
    q_cluster: Start,
    cluster: Start,
) -> None:
    with kind(request) as trouble:
        q_cluster(workers=1, cache="shared", **trouble.settings)
        started: ClusterProcess = cluster()

        started.wait_log(f"{trouble.words}.*The cluster starts and keeps trying")
        started.wait_log("Next try in")
        with pytest.raises(BrokerError, match=trouble.words) as caught:
            async_task("tests.site.tasks.noop")
        trouble.mend()

        task_id = async_task("tests.site.tasks.add", 1, 2)
        assert wait_task(task_id, 20).result == 3
        started.wait_log("The broker answers again|works again")  # to whom it had refused something
        assert "Traceback" not in started.log()
        assert trouble.secret not in started.log() + str(caught.value)
