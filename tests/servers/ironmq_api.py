"""What the local IronMQ answers to each kind of request, what it counts, and what it does wrong."""

import collections
import dataclasses
import itertools
import threading

from tests.servers import ironmq_rules as rules
from tests.servers.ironmq_rules import Body, Queue, Refused, integer, objects, only, text


@dataclasses.dataclass
class Fault:
    """What the server does wrong, for requests of these kinds (none named: for all)."""

    #: `answer` with status and text, `silence` (no answer until it is over), `drop` the connection
    #: before the work or, `drop_after`, after it.
    how: str = "answer"
    status: int = 503
    #: What is answered; empty: a JSON object with a message.
    text: str = ""
    #: How many requests it hits; -1: all.
    times: int = -1
    kinds: tuple[str, ...] = ()


class Api:
    """One project: its queues, its clock, and what was asked of it. Threads share it."""

    def __init__(self, project: str, token: str, limit: int, speed: float) -> None:
        self.project, self.token, self.limit = project, token, limit
        self.clock = rules.Clock(speed)
        self.counts: collections.Counter[str] = collections.Counter()
        self.connections = 0
        self.faults: list[Fault] = []
        #: Held for all work; notified when something may have come.
        self.change = threading.Condition()
        self._queues: dict[str, Queue] = {}
        self._ids = itertools.count(6_000_000_000_000_000_001)

    def fault_for(self, kind: str) -> Fault | None:
        """Give the fault that hits this request, if there is one."""
        for fault in self.faults:
            if fault.times and (not fault.kinds or kind in fault.kinds):
                fault.times -= 1
                return fault
        return None

    def do(self, kind: str, path: list[str], body: Body) -> tuple[int, Body]:
        """Do what is asked for. `path`: queue and message. Raises Refused."""
        work = getattr(self, f"_do_{kind}")
        with self.change:
            for queue in self._queues.values():
                queue.come_to(self.clock.now())
            answer: Body = work(*path, body)
            self.change.notify_all()
        return (201 if kind == "post" else 200), answer

    def _queue(self, name: str, makes: bool = False) -> Queue:
        if name not in self._queues:
            if not makes:
                raise Refused(*rules.NO_QUEUE)
            self._queues[name] = Queue(name, self._ids)
        return self._queues[name]

    # -- queues ------------------------------------------------------------------------------

    def _do_list_queues(self, body: Body) -> Body:
        most = integer(body, "per_page", 1, 100, 30)
        previous, prefix = text(body, "previous", ""), text(body, "prefix", "")
        names = sorted(n for n in self._queues if n > previous and n.startswith(prefix))
        return {"queues": [{"name": name} for name in names[:most]]}

    def _do_put_queue(self, name: str, body: Body) -> Body:
        options = rules.queue_options(body)
        queue = self._queue(name, makes=True)
        queue.options |= options
        info = {"project_id": self.project, **queue.info()}
        return {"queue": {k: v for k, v in info.items() if k not in ("size", "total_messages")}}

    def _do_patch_queue(self, name: str, body: Body) -> Body:
        options = rules.queue_options(body)
        self._queue(name).options |= options
        return self._do_get_queue(name, {})

    def _do_get_queue(self, name: str, body: Body) -> Body:
        return {"queue": {"project_id": self.project, **self._queue(name).info()}}

    def _do_delete_queue(self, name: str, body: Body) -> Body:
        self._queue(name)
        del self._queues[name]
        return {"msg": "Deleted"}

    # -- messages ----------------------------------------------------------------------------

    def _do_post(self, name: str, body: Body) -> Body:
        only(body, "messages")
        asked = []
        for message in objects(body, "messages"):
            only(message, "body", "delay")
            delay = integer(message, "delay", 0, rules.LONGEST_DELAY, 0)
            asked.append((text(message, "body"), delay))
        queue, now = self._queue(name, makes=True), self.clock.now()
        ids = [queue.post(payload, delay, now) for payload, delay in asked]
        return {"ids": ids, "msg": "Messages put on queue."}

    def _do_reserve(self, name: str, body: Body) -> Body:
        only(body, "n", "timeout", "wait", "delete")
        n = integer(body, "n", 1, rules.MOST, 1)
        default = self._queue(name).options["message_timeout"]
        shortest, longest = rules.SHORTEST_TIMEOUT, rules.LONGEST_TIMEOUT
        timeout = integer(body, "timeout", shortest, longest, default)
        end = self.clock.now() + integer(body, "wait", 0, 30, 0)
        while not (messages := self._reserve(name, n, timeout)):
            now = self.clock.now()
            if now >= end:
                break
            moment = min(end, self._queue(name).next_change())
            self.change.wait(max(0.0, moment - now) / self.clock.speed)
        if body.get("delete"):
            self._queue(name).delete([(m.id, m.reservation) for m in messages])
        return {"messages": [{**m.shown(), "reservation_id": m.reservation} for m in messages]}

    def _reserve(self, name: str, n: int, timeout: int) -> list[rules.Message]:
        queue, now = self._queue(name), self.clock.now()
        queue.come_to(now)
        messages, dead = queue.reserve(n, timeout, now)
        for message in dead:
            target = queue.options["dead_letter"]["queue_name"]
            self._queue(target, makes=True).take_in(message, now)
        return messages

    def _do_peek(self, name: str, body: Body) -> Body:
        n = integer(body, "n", 1, rules.MOST, 1)
        first = itertools.islice(self._queue(name).waiting(), n)
        return {"messages": [message.shown() for message in first]}

    def _do_get_message(self, name: str, id: str, body: Body) -> Body:
        return {"message": self._queue(name).get(id).shown()}

    def _do_delete(self, name: str, id: str, body: Body) -> Body:
        only(body, "reservation_id")
        self._queue(name).delete([(id, text(body, "reservation_id", ""))])
        return {"msg": "Deleted"}

    def _do_delete_many(self, name: str, body: Body) -> Body:
        queue = self._queue(name)
        if not body:
            queue.clear()
            return {"msg": "Cleared"}
        only(body, "ids")
        pairs = []
        for entry in objects(body, "ids", rules.MOST):
            only(entry, "id", "reservation_id")
            pairs.append((text(entry, "id"), text(entry, "reservation_id", "")))
        queue.delete(pairs)
        return {"msg": "Deleted"}

    def _do_touch(self, name: str, id: str, body: Body) -> Body:
        only(body, "reservation_id", "timeout")
        queue = self._queue(name)
        shortest, longest = rules.SHORTEST_TIMEOUT, rules.LONGEST_TIMEOUT
        timeout = integer(body, "timeout", shortest, longest, queue.options["message_timeout"])
        new = queue.touch(id, text(body, "reservation_id", ""), timeout, self.clock.now())
        return {"reservation_id": new, "msg": "Touched"}

    def _do_release(self, name: str, id: str, body: Body) -> Body:
        only(body, "reservation_id", "delay")
        delay = integer(body, "delay", 0, rules.LONGEST_DELAY, 0)
        reservation = text(body, "reservation_id", "")
        self._queue(name).release(id, reservation, delay, self.clock.now())
        return {"msg": "Released"}
