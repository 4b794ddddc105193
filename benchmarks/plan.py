"""What the documentation shows: one measurement a file, the most telling first.

Counts are such that a peer works for a second or two. Whoever is far from the first is run twice
only (`--seldom`): all of it fits into half an hour on two cores.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Job:
    """One file, and the command line that makes it."""

    measure: str
    broker: str
    #: Peers that have all runs, and those that have two.
    peers: str
    seldom: str = ""
    repeat: int = 5
    rest: str = ""

    @property
    def name(self) -> str:
        """The name of the file, without what stands behind the dot."""
        return f"{self.measure}-{self.broker}"

    @property
    def words(self) -> list[str]:
        """The command line."""
        words = [self.measure, "--broker", self.broker, "--repeat", str(self.repeat)]
        words += ["--peers", ",".join(filter(None, (self.peers, self.seldom)))]
        if self.seldom:
            words += ["--seldom", self.seldom]
        return [*words, *self.rest.split()]

    @property
    def small(self) -> list[str]:
        """What makes it short, to see that everything works; the figures mean nothing."""
        words = ["--repeat", "1", "--tasks", "40" if self.measure == "latency" else "200"]
        if self.measure == "backlog":
            words += ["--backlog", "100,1000", "--old-results", "1000"]
        return words


JOBS = (
    Job(
        "drain",
        "redis",
        "ours,ours:bare,django-q2,huey,dramatiq:bare,bare",
        "huey:bare,dramatiq,taskiq,taskiq:bare,celery,rq:simple",
        rest="--tasks 60000",
    ),
    Job(
        "drain",
        "postgres",
        "ours,pgqueuer,procrastinate",
        "ours:bare,django-q2,django-tasks-db",
        rest="--tasks 40000",
    ),
    Job(
        "drain", "sqlite", "ours,huey,huey:loose", "django-q2,django-tasks-db", rest="--tasks 40000"
    ),
    Job(
        "latency",
        "redis",
        "ours,huey,taskiq",
        "django-q2,dramatiq:bare,celery,rq:simple",
        repeat=3,
        rest="--tasks 50",
    ),
    Job(
        "latency",
        "postgres",
        "ours,pgqueuer,procrastinate",
        "django-q2,django-tasks-db",
        repeat=3,
        rest="--tasks 50",
    ),
    Job(
        "latency",
        "sqlite",
        "ours,huey",
        "django-q2,django-tasks-db",
        repeat=3,
        rest="--tasks 50",
    ),
    Job("enqueue", "redis", "ours,huey,dramatiq:bare", "rq,django-q2,taskiq,celery"),
    Job("enqueue", "postgres", "ours,pgqueuer,procrastinate", "django-q2,django-tasks-db"),
    Job("enqueue", "sqlite", "ours,huey,huey:loose", "django-q2,django-tasks-db"),
    Job("memory", "redis", "ours,huey,django-q2", repeat=1, rest="--tasks 200000"),
    Job("memory", "postgres", "ours,pgqueuer", repeat=1, rest="--tasks 200000"),
    Job("memory", "sqlite", "ours,huey", repeat=1, rest="--tasks 200000"),
    Job("cpu", "redis", "ours,huey", "dramatiq:bare,taskiq,celery", rest="--tasks 1000"),
    *(
        Job(
            "backlog",
            broker,
            "ours",
            repeat=1,
            rest="--tasks 20000 --backlog 1000,100000,1000000 --old-results 1000000",
        )
        for broker in ("redis", "postgres", "sqlite")
    ),
    Job("payload", "redis", "ours,ours:bare,bare", repeat=3),
    Job("growth", "redis", "ours", repeat=2),
    Job("io", "redis", "ours,ours:async,dramatiq:bare,huey", "taskiq,celery", repeat=3),
)
