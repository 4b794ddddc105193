"""Tasks that write into the database that the queue is in. An effect is a row."""

import asyncio
import collections
import contextlib
import os
import time
import uuid
from datetime import UTC, datetime
from typing import NoReturn

from django.contrib.sessions.models import Session
from django.db import IntegrityError, OperationalError, transaction

from tests.site.tasks import write

_NEVER = datetime(2100, 1, 1, tzinfo=UTC)


def effects() -> collections.Counter[str]:
    """How often each token had its effect."""
    return collections.Counter(Session.objects.values_list("session_data", flat=True))


def leave(token: object) -> None:
    """Have an effect: one more row with this token."""
    Session.objects.create(
        session_key=uuid.uuid4().hex, session_data=str(token), expire_date=_NEVER
    )


def record(path: str, token: object, seconds: float = 0.0) -> object:
    """Have an effect in the middle of a task that takes a while, and note its start and end."""
    write(path, f"start {token} {os.getpid()}")
    time.sleep(seconds / 2)
    leave(token)
    time.sleep(seconds / 2)
    write(path, f"end {token} {os.getpid()}")
    return token


def hold(path: str, token: object, gate: str) -> object:
    """Have an effect, then wait until the file `gate` is there."""
    leave(token)
    write(path, f"start {token} {os.getpid()}")
    while not os.path.exists(gate):
        time.sleep(0.01)
    return token


def fail(token: object) -> NoReturn:
    """Have an effect, and fail."""
    leave(token)
    raise ValueError("on purpose")


def fail_first(path: str, token: object) -> object:
    """Have an effect, and fail in the first of all runs."""
    leave(token)
    is_first = not os.path.exists(path)
    write(path, "run")
    if is_first:
        raise ValueError("the first time")
    return token


def take_long(token: object, seconds: float) -> None:
    """Have an effect, then take a while."""
    leave(token)
    time.sleep(seconds)


def give_lambda(token: object) -> object:
    """Have an effect, and give what cannot be stored."""
    leave(token)
    return lambda: token


def leave_later(token: object) -> None:
    """Have an effect once all is committed."""
    transaction.on_commit(lambda: leave(token))


def fail_later(token: object) -> None:
    """Have an effect, and fail once all is committed."""
    leave(token)
    transaction.on_commit(lambda: fail("later"))


def roll_back(token: object) -> None:
    """Have an effect and take it back."""
    leave(token)
    transaction.set_rollback(True, using=Session.objects.db)


def swallow(token: object) -> None:
    """Have an effect, and go on after an error of the database."""
    leave(token)
    with contextlib.suppress(IntegrityError):
        Session(session_key=None, session_data="none", expire_date=None).save(force_insert=True)


def enter_a_block(token: object) -> None:
    """Have an effect in a block that is never left."""
    transaction.atomic().__enter__()
    leave(token)


class NeedsServer:
    """Cannot be stored while some server is away."""

    def __reduce__(self) -> NoReturn:
        raise OperationalError("the server is away")


def give_what_needs_a_server(token: object) -> object:
    """Have an effect, and give what asks a server when it is stored."""
    leave(token)
    return NeedsServer()


async def leave_asynchronously(token: object) -> None:
    """Have an effect, outside of any transaction."""
    await asyncio.to_thread(leave, token)


def collect(values: list[object]) -> object:
    """Have an effect that tells of others, as the callback of a group."""
    leave(f"all of {sorted(map(str, values))}")
    return values


def follow(token: object) -> None:
    """Have an effect that tells which task this one follows."""
    leave(f"after {token}")
