"""Where the IronMQ broker finds its settings, which place wins, and what it says of wrong ones."""

import json
import pickle
import traceback

import pytest

from django_q.brokers import get_broker
from django_q.brokers.ironmq import IronMQBroker
from django_q.brokers.ironmq_settings import IronSettings
from django_q.conf import Conf
from django_q.exceptions import ConfigurationError

LOGIN = {"project_id": "p", "token": "hush-hush"}


@pytest.fixture
def places(tmp_path, monkeypatch, q_cluster):
    """Function that writes the places where settings may be; by default all are empty."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)

    def write(settings=None, *, own=None, local=None, mq=None, iron=None, user=None):
        if own is not None:
            (tmp_path / "own.json").write_text(json.dumps(own))
            settings = {"config_file": str(tmp_path / "own.json"), **(settings or {})}
        for path, content in ((work / "iron.json", local), (home / ".iron.json", user)):
            if content is not None:
                path.write_text(content if isinstance(content, str) else json.dumps(content))
        for prefix, values in (("IRON_MQ_", mq), ("IRON_", iron)):
            for key, value in (values or {}).items():
                monkeypatch.setenv(prefix + key.upper(), value)
        q_cluster(iron_mq=settings or {})

    write()
    return write


def wrong():
    """Give the text of the error, which must not show the token."""
    with pytest.raises(ConfigurationError) as caught:
        IronMQBroker("q")
    assert "hush" not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


# Defaults.


def test_project_and_token_are_enough(places):
    places(LOGIN)

    settings = IronSettings.read()

    assert settings.address == "mq-aws-us-east-1-1.iron.io:443"
    assert (settings.protocol, settings.base) == ("https", "/3/projects/p/")
    assert (settings.wait, settings.max_message_size) == (20, 262_144)


def test_the_port_is_that_of_the_protocol(places):
    places({**LOGIN, "protocol": "http"})
    assert IronSettings.read().address.endswith(":80")

    places({**LOGIN, "protocol": "http", "port": 8080})
    assert IronSettings.read().address.endswith(":8080")


def test_the_settings_are_left_as_they_are(places):
    given = {**LOGIN, "wait": "20"}
    places(given)

    broker = IronMQBroker("q")

    assert broker.idle_wait == 20.0
    assert given == {**LOGIN, "wait": "20"} == Conf.IRON_MQ


def test_a_url_gives_the_settings(q_cluster):
    q_cluster(broker="ironmq://p:hush%2Fhush@mq.example.com:8080?protocol=http&wait=10")

    broker = get_broker()

    assert isinstance(broker, IronMQBroker)
    settings = broker._settings
    assert (settings.project_id, settings.token) == ("p", "hush/hush")
    assert (settings.address, settings.protocol) == ("mq.example.com:8080", "http")
    assert settings.wait == 10


# Places.

ALL = ("settings", "own", "local", "mq", "iron", "user")


@pytest.mark.parametrize("first", range(len(ALL)))
def test_the_first_place_wins(places, first):
    places(**{place: {**LOGIN, "project_id": place} for place in ALL[first:]})

    assert IronSettings.read().project_id == ALL[first]


def test_keys_may_come_from_different_places(places):
    places({"host": "h"}, local={"token": "t"}, iron={"project_id": "p"}, user={"port": 444})

    settings = IronSettings.read()

    assert (settings.project_id, settings.token, settings.address) == ("p", "t", "h:444")
    assert settings.named("host", "port", "token") == (
        '"host", "port" (now from ~/.iron.json) and "token" (now from iron.json) '
        'of Q_CLUSTER["iron_mq"]'
    )


def test_none_says_nothing(places):
    places({**LOGIN, "token": None, "host": None}, iron={"token": "t"})

    assert IronSettings.read().token == "t"


@pytest.mark.parametrize("place", ["local", "user", "own"])
def test_a_section_of_a_file_wins_over_what_stands_beside_it(places, place):
    section = {"token": "t", "host": "h"}
    places(**{place: {**LOGIN, "iron_mq": section, "iron_worker": {"host": "w"}, "x": 1}})

    settings = IronSettings.read()

    assert (settings.project_id, settings.token, settings.host) == ("p", "t", "h")


def test_texts_of_the_environment_become_numbers(places):
    places(mq={**LOGIN, "port": "8443", "wait": "5", "api_version": "3"})

    settings = IronSettings.read()

    assert (settings.port, settings.wait, settings.api_version) == (8443, 5, 3)


def test_a_newline_behind_a_value_is_taken_off(places):
    places(mq={"project_id": "p\n", "token": "hush\n"})

    assert IronSettings.read().token == "hush"


def test_a_file_that_may_not_be_read_is_passed_over(places, tmp_path):
    places(LOGIN)
    (tmp_path / "home/.iron.json").mkdir()

    assert IronSettings.read().project_id == "p"


# What is wrong.


@pytest.mark.parametrize("key", ["project_id", "token"])
@pytest.mark.parametrize("value", [None, ""])
def test_what_is_missing_is_named_with_its_places(places, key, value):
    places({**LOGIN, key: value})

    text = wrong()

    assert f'IronMQ needs "{key}"' in text
    for place in ('Q_CLUSTER["iron_mq"]', f"IRON_MQ_{key.upper()}", "iron.json"):
        assert place in text


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("protocol", "ftp", "must be https or http"),
        ("host", "https://mq.iron.io", "without https://"),
        ("host", "mq iron", "without spaces"),
        ("host", 7, "plain characters"),
        ("token", "hush hush", "is not as it must be"),
        ("token", "hüsh", "is not as it must be"),
        ("token", b"hush", "is not as it must be"),
        ("token", "hush\r\nX-Header: 1", "is not as it must be"),
        ("port", 0, "from 1 to 65535"),
        ("port", "x", "from 1 to 65535"),
        ("port", True, "from 1 to 65535"),
        ("port", 44.3, "from 1 to 65535"),
        ("api_version", 1, "must be 3: this broker speaks no other"),
        ("wait", 31, "from 1 to 30"),
        ("max_message_size", 262_145, "from 1024 to 262144"),
        ("message_expiration", 2_592_001, "from 30 to 2592000"),
    ],
)
def test_a_wrong_value_is_named(places, key, value, words):
    places({**LOGIN, key: value})

    text = wrong()

    assert text.startswith(f'Q_CLUSTER["iron_mq"]["{key}"] is ')
    assert words in text


def test_a_wrong_value_is_named_with_its_place(places):
    places(LOGIN, mq={"port": "many"})

    assert wrong().startswith("\"port\" for IronMQ, from IRON_MQ_PORT, is 'many': it must be")


def test_an_unknown_key_is_named(places):
    places({**LOGIN, "proyect": "p"})

    assert 'Q_CLUSTER["iron_mq"]["proyect"] is not known' in wrong()


@pytest.mark.parametrize("content", ['{"token": "hush",', "[1]", '{"iron_mq": 1}', '"hush"'])
def test_a_file_that_cannot_be_understood_is_named(places, content):
    places(LOGIN, local=content)

    assert "The file 'iron.json'" in wrong()


def test_a_file_that_is_named_must_be_there(places):
    places({**LOGIN, "config_file": "/nowhere/own.json"})

    assert "\"config_file\"] is '/nowhere/own.json', which cannot be read: No such file" in wrong()


def test_a_retry_beyond_the_longest_lease_is_refused(q_cluster):
    q_cluster(retry=86_401, iron_mq=LOGIN)

    assert 'Q_CLUSTER["retry"] is 86401 s' in wrong()


def test_a_pickled_broker_holds_no_token(places):
    places(LOGIN)

    assert b"hush" not in pickle.dumps(IronMQBroker("q"))
