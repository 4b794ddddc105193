"""The commands about the node itself, and the table of all commands that a node knows."""

import fnmatch
from collections.abc import Callable
from typing import Any

from . import disque_job_commands as jobs
from . import disque_queue_commands as queues
from .disque_bus import Bus
from .disque_job_commands import Words
from .disque_node import Node
from .disque_protocol import Refused, Status

VERSION = "1.0-rc1"
_CLIENT_HINT = "Syntax error, try CLIENT (LIST | KILL ip:port | GETNAME | SETNAME connection-name)"


def ping(node: Node, words: Words) -> Status:
    """Tell that somebody is there."""
    return Status("PONG")


def hello(node: Node, words: Words) -> list[Any]:
    """Name this node and the others: id, address, port, and 1 for those that answer, else 100."""
    nodes = [[node.id, "", str(node.port), "1"]]
    if isinstance(node.bus, Bus):
        alive = node.bus.reachable()
        for id in node.bus.peers():
            priority = "1" if id in alive else "100"
            nodes.append([id, "127.0.0.1", str(node.bus.port_of(id)), priority])
    return [1, node.id, *nodes]


def info(node: Node, words: Words) -> str:
    """Tell about the node, by sections."""
    sections = {
        "server": {"disque_version": VERSION, "tcp_port": node.port},
        "clients": {"connected_clients": len(node.clients)},
        "jobs": {"registered_jobs": len(node.jobs.jobs)},
        "queues": {"registered_queues": len(node.jobs.queues)},
    }
    wanted = words[0].decode().lower() if words else "default"
    told = [
        f"# {name.capitalize()}\r\n" + "".join(f"{key}:{value}\r\n" for key, value in facts.items())
        for name, facts in sections.items()
        if wanted in (name, "default", "all")
    ]
    return "\r\n".join(told)


def config(node: Node, words: Words) -> Any:
    """Read settings by pattern, or change one."""
    match [words[0].lower(), *words[1:]]:
        case [b"get", pattern]:
            fit = [key for key in node.settings if fnmatch.fnmatch(key, pattern)]
            return [part for key in fit for part in (key, node.settings[key])]
        case [b"set", key, value] if key in node.settings:
            node.settings[key] = value
            return Status("OK")
    raise Refused("CONFIG subcommand must be one of GET, SET, RESETSTAT, REWRITE")


def client(node: Node, words: Words) -> Any:
    """List the connections, or end one."""
    match [words[0].lower(), *words[1:]]:
        case [b"list"]:
            return "".join(one.line() for one in node.clients.values())
        case [b"kill", address]:
            found = [one for one in node.clients.values() if one.address == address.decode()]
            if not found:
                raise Refused("No such client")
            found[0].close()
            return Status("OK")
    raise Refused(_CLIENT_HINT)


def debug(node: Node, words: Words) -> Status:
    """Forget all jobs."""
    if [word.lower() for word in words] != [b"flushall"]:
        raise Refused("Syntax error, try DEBUG (SEGFAULT | FLUSHALL)")
    node.jobs.clear()
    return Status("OK")


def time(node: Node, words: Words) -> list[str]:
    """Tell the time: seconds and microseconds."""
    now = node.jobs.clock()
    return [str(now // 1000), str(now % 1000 * 1000)]


def command(node: Node, words: Words) -> int:
    """Count the commands."""
    return len(COMMANDS)


#: Name -> what does it, and how many words it takes, its name included: -n is n or more.
COMMANDS: dict[bytes, tuple[Callable[[Node, Words], Any], int]] = {
    b"addjob": (jobs.addjob, -4),
    b"getjob": (jobs.getjob, -2),
    b"ackjob": (jobs.ackjob, -2),
    b"fastack": (jobs.fastack, -2),
    b"nack": (jobs.nack, -2),
    b"enqueue": (jobs.enqueue, -2),
    b"dequeue": (jobs.dequeue, -2),
    b"deljob": (jobs.deljob, -2),
    b"working": (jobs.working, 2),
    b"show": (jobs.show, 2),
    b"qlen": (queues.qlen, 2),
    b"qpeek": (queues.qpeek, 3),
    b"qstat": (queues.qstat, 2),
    b"pause": (queues.pause, -3),
    b"qscan": (queues.qscan, -1),
    b"jscan": (queues.jscan, -1),
    b"ping": (ping, 1),
    b"hello": (hello, 1),
    b"info": (info, -1),
    b"config": (config, -2),
    b"client": (client, -2),
    b"debug": (debug, -2),
    b"time": (time, 1),
    b"command": (command, -1),
    b"latency": (lambda node, words: [], -2),
    b"slowlog": (lambda node, words: 0, -2),
}


def run(node: Node, words: Words) -> Any:
    """Run one command; gives its reply, or something to await. Raises Refused."""
    name = words[0].lower()
    if name not in COMMANDS:
        raise Refused(f"unknown command '{words[0].decode(errors='replace')}'")
    act, arity = COMMANDS[name]
    if len(words) != arity if arity > 0 else len(words) < -arity:
        raise Refused(f"wrong number of arguments for '{name.decode()}' command")
    if name == b"addjob" and node.jobs.size > int(node.settings[b"maxmemory"]):
        raise Refused("OOM command not allowed when used memory > 'maxmemory'.")
    return act(node, words[1:])
