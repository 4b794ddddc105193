"""Become a server that dies with the test process; run as a script by `Server.start`.

    python launch.py PARENT SIGNAL USER COMMAND...

The process keeps its pid through `exec`, so the test process can signal the server directly.
USER may be `-`: stay who we are.
"""

import ctypes
import os
import pwd
import sys

#: From <linux/prctl.h>.
PR_SET_PDEATHSIG = 1


def become(user: str) -> None:
    """Give up root for `user`."""
    entry = pwd.getpwnam(user)
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.environ.update(HOME="/", USER=user, LOGNAME=user)


def die_with(parent: int, signal: int) -> None:
    """Ask the kernel for `signal` when the parent ends (Linux only: elsewhere nothing happens)."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal)
    if os.getppid() != parent:  # it ended before the kernel knew our wish
        sys.exit("the test process is gone")


def main() -> None:
    """Read the command line, then turn into the server."""
    parent, signal, user, *command = sys.argv[1:]
    if user != "-":
        become(user)
    # After the change of user, which makes the kernel forget the wish (man 2 prctl).
    die_with(int(parent), int(signal))
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main()
