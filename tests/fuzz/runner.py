"""Feeds inputs to targets, each within limits of time and memory, and counts what came of them."""

import ast
import collections
import faulthandler
import mmap
import random
import signal
import sys
import types
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.fuzz.target import Target

CORPUS = Path(__file__).with_name("corpus")
#: Seconds of the processor that one input may take; the slowest take some tenths.
INPUT_LIMIT = 5.0
#: Seconds after which an input counts as hanging, wherever it hangs; the process ends then.
HARD_LIMIT = 120.0
#: Inputs of one target that a run keeps as interesting, beside those it began with.
_KEPT = 500
#: Bytes of an input that are noted for whoever finds the process dead.
_NOTED = 2**17
#: Bytes of the longest input that goes into the corpus, and how many of one target do.
_SHORT, _MOST_KEPT = 300, 60


class Hangs(BaseException):
    """An input took too long. Not an Exception, so that nobody takes it for an answer."""


class Runner:
    """One run. What is run stands in `scratch`, for whoever finds this process dead."""

    def __init__(self, targets: Sequence[Target], seed: int, scratch: Path) -> None:
        self._targets = targets
        self._seed = seed
        self.counts: dict[str, collections.Counter[str]] = {
            each.name: collections.Counter() for each in targets
        }
        #: Target and input -> what was found.
        self.findings: dict[tuple[str, bytes], str] = {}
        #: What led to an outcome that was not seen before.
        self.interesting: dict[str, list[bytes]] = {each.name: [] for each in targets}
        self._kinds: set[tuple[str, str]] = set()
        scratch.write_bytes(b"\0" * (_NOTED + 4))
        self._file = open(scratch, "r+b")
        self._scratch = mmap.mmap(self._file.fileno(), _NOTED + 4)
        signal.signal(signal.SIGVTALRM, _hangs)
        warnings.simplefilter("ignore")

    def replay(self) -> None:
        """Feed what is known: the seeds of every target, and its corpus."""
        for target in self._targets:
            for data in [*target.seeds, *corpus(target)]:
                self._feed(target, data)

    def run(self, inputs: int) -> None:
        """Feed so many inputs, each target its share."""
        whole = sum(target.share for target in self._targets)
        for target in self._targets:
            chance = random.Random(f"{self._seed} {target.name}")
            pool = [*target.seeds, *corpus(target)]
            for _ in range(round(inputs * target.share / whole)):
                data = target.input(chance, pool)
                if self._feed(target, data) and len(pool) < _KEPT and len(data) < 5000:
                    pool.append(data)

    def _feed(self, target: Target, data: bytes) -> bool:
        """Feed one input; True when its outcome is a new one."""
        note = (f"{target.name}\n".encode() + data)[:_NOTED]
        note = len(note).to_bytes(4, "big") + note
        self._scratch[: len(note)] = note
        faulthandler.dump_traceback_later(HARD_LIMIT, exit=True)
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, INPUT_LIMIT)
            try:
                outcome = target.read(data)
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        except BaseException as error:  # whatever it is, it is what was looked for
            if isinstance(error, KeyboardInterrupt):
                raise
            outcome = f"FOUND {type(error).__name__}: {error!s:.200}"
            self._found(target, data, outcome, error)
        self.counts[target.name][outcome.partition(":")[0]] += 1
        kind = (target.name, outcome)
        if kind in self._kinds:
            return False
        self._kinds.add(kind)
        self.interesting[target.name].append(data)
        return True

    def _found(self, target: Target, data: bytes, outcome: str, error: BaseException) -> None:
        where = "".join(f"\n    {line}" for line in _own_frames(error))
        # Of those that end at the same place one is enough.
        if not any(where and text.endswith(where) for text in self.findings.values()):
            self.findings[target.name, data] = f"{outcome}{where}"


def corpus(target: Target) -> list[bytes]:
    """Give the inputs that are kept for a target: a line of its file each, as Python writes it."""
    path = _file_of(target)
    return list(map(ast.literal_eval, path.read_text().splitlines())) if path.exists() else []


def keep(target: Target, inputs: Sequence[bytes]) -> None:
    """Put the short ones of these inputs into the corpus, as far as there is room."""
    known = corpus(target)
    new = sorted((each for each in inputs if len(each) <= _SHORT), key=len)
    kept = [*known, *(each for each in new if each not in {*known, *target.seeds})][:_MOST_KEPT]
    _file_of(target).write_text("".join(f"{each!r}\n" for each in kept))


def _file_of(target: Target) -> Path:
    return CORPUS / f"{target.name.lower().replace(' ', '_')}.txt"


def last_input(scratch: Path) -> tuple[str, bytes]:
    """Give what a process was at when it died: name of the target, and input."""
    data = scratch.read_bytes()
    name, _, found = data[4 : 4 + int.from_bytes(data[:4], "big")].partition(b"\n")
    return name.decode(), found


def _own_frames(error: BaseException) -> Iterator[str]:
    trace: Any = error.__traceback__
    while trace is not None:
        frame: types.FrameType = trace.tb_frame
        if "/django_q/" in frame.f_code.co_filename:
            name = Path(frame.f_code.co_filename).name
            yield f"{name}:{trace.tb_lineno} {frame.f_code.co_name}"
        trace = trace.tb_next


def _hangs(number: int, frame: types.FrameType | None) -> None:
    raise Hangs(f"more than {INPUT_LIMIT} s of the processor")


def tell(runner: Runner) -> None:
    """Print the counts by target and outcome, and what was found."""
    for name, counts in runner.counts.items():
        print(f"{name}: {counts.total()} inputs")
        for outcome, count in counts.most_common(12):
            print(f"    {count:7} {outcome[:100]}")
    for (name, data), text in runner.findings.items():
        print(f"FOUND in {name}: {text}\n  input: {data[:1000]!r}")
    sys.stdout.flush()
