"""The Disque server of the tests answers as a real one did: its recorded replies, call by call."""

import ast
import re
import time
from pathlib import Path
from typing import Any

from .disque_thread import ThreadedNode

RECORD = Path(__file__).with_name("disque-replies.txt")
#: Milliseconds by which a time may differ: the spread of requeue times, and whole seconds of TTL.
SPREAD = 1200
#: Fields of SHOW that are times, and by how much they may differ.
TIMES = {
    b"ctime": 1e30,
    b"ttl": 1,
    b"next-requeue-within": SPREAD,
    b"next-awake-within": SPREAD,
}
ID = re.compile(rb"D-[0-9a-f]{8}-[A-Za-z0-9+/]{24}-[0-9a-f]{4}|[0-9a-f]{40}")


class Replay:
    """Compares replies, and learns which id here is which one there."""

    def __init__(self) -> None:
        self.here: dict[bytes, bytes] = {}

    def translate(self, word: bytes) -> bytes:
        """Give a word of the record as it is here."""
        return self.here.get(word, word)

    def same(self, told: Any, reply: Any) -> bool:
        """Tell whether a reply is the recorded one."""
        if isinstance(told, bytes) and isinstance(reply, bytes):
            if ID.fullmatch(told) and ID.fullmatch(reply):
                # The end of a job's id says how long it lives and whether it is delivered once.
                ends_same = told[:2] != b"D-" or told[-4:] == reply[-4:]
                return self.here.setdefault(told, reply) == reply and ends_same
            return told == reply
        if isinstance(told, list) and isinstance(reply, list) and len(told) == len(reply):
            pairs = zip([None, *told][: len(told)], told, reply, strict=True)
            return all(self._same_field(name, one, other) for name, one, other in pairs)
        return type(told) is type(reply) and told == reply

    def _same_field(self, name: Any, told: Any, reply: Any) -> bool:
        if isinstance(name, bytes) and name in TIMES:
            return isinstance(reply, int) and abs(told - reply) <= TIMES[name]
        return self.same(told, reply)


def words_of(call: str) -> list[Any]:
    name, *parts = re.findall(r'"[^"]*"|\S+', call)
    texts = (ast.literal_eval(part) if part.startswith('"') else part for part in parts)
    return [name, *(text.encode() for text in texts)]


def told_of(text: str) -> Any:
    if text.endswith(" ..."):
        return ast.literal_eval(text.removesuffix(" ...") + "]]")
    return text if text.startswith("!!") else ast.literal_eval(text)


def by_id(reply: list[Any], order: list[bytes]) -> list[Any]:
    """Put what a scan found into this order: Disque's is that of its hash table."""
    found = {item[1] if isinstance(item, list) else item: item for item in reply[1]}
    return [reply[0], [found[id] for id in order]]


def compare(replay: Replay, call: str, text: str, reply: Any) -> bool:
    told = told_of(text)
    if isinstance(told, str):
        return bool(told == reply)
    if call.startswith("TIME"):
        return len(reply) == 2 and all(isinstance(part, int) for part in reply)
    if call.startswith("CLIENT LIST"):
        return re.sub(rb"\d+", b"N", told) == re.sub(rb"\d+", b"N", reply)
    if call.startswith("HELLO"):
        told[2][2] = reply[2][2]
        # The ids of nodes: not the same here, but the same wherever they stand.
        replay.here[told[1]] = reply[1]
        told = [1, reply[1], [reply[1], *told[2][1:]]]
    if call.startswith("JSCAN") and told[1]:
        ids = [item[1] if isinstance(item, list) else item for item in told[1]]
        is_all = len(ids) == len(reply[1]) or text.endswith("...")
        return is_all and replay.same(told, by_id(reply, [replay.translate(id) for id in ids]))
    if call.startswith("QSCAN"):
        return [told[0], sorted(told[1])] == [reply[0], sorted(reply[1])]
    return replay.same(told, reply)


def test_the_server_answers_as_the_real_one_did():
    lines = [line for line in RECORD.read_text().splitlines() if line and line[0] != "#"]
    replay = Replay()
    wrong = []
    with ThreadedNode() as server:
        for line in lines:
            if line.startswith("WAIT "):
                server.advance(float(line.split()[1]))
                continue
            call, text = line.split(" -> ", 1)
            text, _, took = text.rpartition(" [") if text.endswith("ms]") else (text, "", "")
            began = time.monotonic()
            name, *words = words_of(call)
            reply = server.call(name, *map(replay.translate, words))
            if took:
                assert 0.3 <= time.monotonic() - began < 3.0, line
            if not compare(replay, call, text, reply):
                wrong.append(f"{line}\n  here: {reply!r}")

    assert len(lines) > 80
    assert not wrong, "\n".join(wrong)
