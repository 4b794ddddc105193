"""What a run tells its processes: one environment variable, read on either side.

Imported in the environments of the peers too, so it uses nothing but the standard library.
"""

import dataclasses
import functools
import json
import os
from typing import Any, Self

#: The variable that carries it, as JSON.
VARIABLE = "BENCH_SCENE"


@dataclasses.dataclass(frozen=True)
class Scene:
    """One run of one peer."""

    #: Name of the peer, and which of its variants: "" stores results, "bare" stores nothing.
    peer: str
    variant: str
    #: "redis", "postgres" or "sqlite", and where it is: an address, or the path of a file.
    broker: str
    url: str
    #: Entry of `DATABASES`.
    database: dict[str, Any]
    #: Folder of this run, which is removed after it, and the file of the marks of the tasks.
    directory: str
    marks: str
    #: Worker processes, and how many tasks each may have in the air; 0: as the peer would itself.
    workers: int
    concurrency: int
    #: Turns of the loop that takes 10 ms of CPU here.
    turns: int

    @property
    def stores(self) -> bool:
        """Whether this variant keeps results."""
        return self.variant != "bare"

    def environment(self) -> dict[str, str]:
        """The variable, for a process to be started."""
        return {VARIABLE: json.dumps(dataclasses.asdict(self))}

    @classmethod
    @functools.cache
    def here(cls) -> Self:
        """The scene this process was started in; KeyError where there is none."""
        return cls(**json.loads(os.environ[VARIABLE]))
