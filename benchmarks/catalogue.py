"""The peers: what has to be installed for them, where they can work, and what they store.

How each is set up stands in its own file below `benchmarks/peers`, which is imported only in the
environment of that peer.
"""

import dataclasses

BROKERS = ("redis", "postgres", "sqlite")


@dataclasses.dataclass(frozen=True)
class Peer:
    """One task queue."""

    name: str
    #: Distribution that gives the version, and all that is installed beside Django.
    distribution: str
    requirements: tuple[str, ...]
    #: Brokers it can work on.
    brokers: tuple[str, ...]
    #: Variant -> what is left of a task that is done. The first is meant where none is named.
    variants: dict[str, str]
    #: Variant -> how many times slower than ours it may be: it drains so many times fewer tasks.
    slowness: dict[str, int] = dataclasses.field(default_factory=dict)
    #: Variants in which each task runs in a child of its worker.
    forks: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """Where its setup stands."""
        return f"benchmarks.peers.{self.name.replace('-', '_')}"


_REDIS = ("redis", "hiredis")
_POSTGRES = ("psycopg[binary]",)

PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            "ours",
            "django-q3",
            (),
            ("redis", "postgres", "sqlite"),
            {
                "": "row in the database",
                "bare": "nothing (save_limit: -1)",
                "async": "row in the database (tasks are coroutines)",
            },
        ),
        Peer(
            "django-q2",
            "django-q2",
            ("django-q2", *_REDIS, *_POSTGRES),
            ("redis", "postgres", "sqlite"),
            {"": "row in the database", "bare": "nothing (save_limit: -1)"},
            slowness={"": 10},
        ),
        Peer(
            "huey",
            "huey",
            ("huey", *_REDIS),
            ("redis", "sqlite"),
            {
                "": "result in the broker (on SQLite: synchronous full, its default)",
                "loose": "result in the broker (on SQLite: fsync=False, synchronous off)",
                "bare": "nothing (results=False)",
            },
            slowness={"": 3, "loose": 3},
        ),
        Peer(
            "dramatiq",
            "dramatiq",
            ("dramatiq[redis]", *_REDIS),
            ("redis",),
            {"": "result in Redis, 10 min", "bare": "nothing (its default)"},
            slowness={"": 5},
        ),
        Peer(
            "celery",
            "celery",
            ("celery[redis]", *_REDIS),
            ("redis",),
            {"": "result in Redis, 1 day", "bare": "nothing (ignore_result)"},
            slowness={"": 20},
        ),
        Peer(
            "rq",
            "rq",
            ("rq", *_REDIS),
            ("redis",),
            {
                "": "job and result in Redis, 500 s",
                "simple": "job and result in Redis, 500 s (SimpleWorker: no fork)",
            },
            forks=("",),
            slowness={"": 80, "simple": 40},
        ),
        Peer(
            "taskiq",
            "taskiq",
            ("taskiq", "taskiq-redis", "uvloop", *_REDIS),
            ("redis",),
            {"": "result in Redis (stream)", "bare": "nothing (list, not acknowledged)"},
            slowness={"": 8},
        ),
        Peer(
            "pgqueuer",
            "pgqueuer",
            ("pgqueuer[asyncpg]", "uvloop", *_POSTGRES),
            ("postgres",),
            {"": "row in its log, no result"},
            slowness={"": 2},
        ),
        Peer(
            "procrastinate",
            "procrastinate",
            ("procrastinate[django]", *_POSTGRES),
            ("postgres",),
            {"": "the job's row, no result"},
            slowness={"": 40},
        ),
        Peer(
            "django-tasks-db",
            "django-tasks-db",
            ("django-tasks-db", "django-tasks", *_POSTGRES),
            ("postgres", "sqlite"),
            {"": "the task's row, with the result"},
            slowness={"": 60},
        ),
        Peer(
            "bare",
            "redis",
            _REDIS,
            ("redis",),
            {"bare": "nothing (a list, redis-py alone)"},
        ),
    )
}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A peer in one of its variants, as the command line names it: `huey`, `huey:bare`."""

    peer: Peer
    variant: str

    def __str__(self) -> str:
        is_meant = self.variant == next(iter(self.peer.variants))
        return self.peer.name if is_meant else f"{self.peer.name}:{self.variant}"

    @property
    def forks(self) -> bool:
        """Whether each task runs in a child of its worker."""
        return self.variant in self.peer.forks

    @property
    def slowness(self) -> int:
        """How many times fewer tasks it drains than others do."""
        return self.peer.slowness.get(self.variant, self.peer.slowness.get("", 1))

    @property
    def stores(self) -> str:
        """What is left of a task that is done."""
        return self.peer.variants[self.variant]


def entry(text: str) -> Entry:
    """The entry of that name; ValueError says which there are."""
    name, _, variant = text.strip().partition(":")
    if name not in PEERS:
        raise ValueError(f"There is no peer {name!r}. There are: {', '.join(PEERS)}.")
    peer = PEERS[name]
    variant = variant or next(iter(peer.variants))
    if variant not in peer.variants:
        known = [f"{name}:{each}" if each else name for each in peer.variants]
        raise ValueError(f"{name} has no variant {variant!r}. There are: {', '.join(known)}.")
    return Entry(peer, variant)
