"""What is measured: names, units, and which way is better; and what a measure is asked for."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Figure:
    """One number of a run, as it is called in JSON and in tables."""

    name: str
    title: str
    digits: int = 0
    #: Of figures that are compared: whether more is better; None: they are only told.
    more_is_better: bool | None = None


@dataclasses.dataclass(frozen=True)
class Options:
    """What the command line asks of every run."""

    tasks: int
    workers: int = 2
    #: Bytes that a task of this run carries; the sizes that were asked for.
    payload: int = 0
    payloads: tuple[int, ...] = ()
    #: Of `benchmarks.tasks`.
    kind: str = "noop"
    #: For `memory`: whether only its first value is taken.
    is_short: bool = False
    #: Seconds for which it watches an idle cluster.
    idle: float = 30
    #: For `backlog`: the sizes that were asked for, and the one of this run; old results before it.
    sizes: tuple[int, ...] = ()
    backlog: int = 0
    old_results: int = 0


SETTLED = Figure("settled_per_second", "settled/s", more_is_better=True)
CPU = Figure("cpu_us_per_task", "CPU us/task", 1, more_is_better=False)
WORKERS_CPU = Figure("workers_cpu_us_per_task", "of it, the workers", 1)
SERVER = Figure("server_cpu_us_per_task", "server CPU us/task", 1)
MEMORY = Figure("pss_mb", "PSS MB", 1)
REPEATED = Figure("repeated", "run twice")
