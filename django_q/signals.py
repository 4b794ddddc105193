"""The signals of a task's life. Sender is always the string "django_q".

A receiver that raises is logged and changes nothing for the task.
"""

from typing import TYPE_CHECKING

from django.dispatch import Signal

from django_q.signposts import signposts

#: Before a package is sealed, in the producer. Arguments: `task` (the package, may be changed).
pre_enqueue = Signal()

#: In a new worker process before its first task. Arguments: `proc_name`.
post_spawn = Signal()

#: Before the function is called, in the worker. Arguments: `func`, `task`.
pre_execute = Signal()

#: After the function ended, in the worker, before the result is saved. Arguments: `func`, `task`.
post_execute_in_worker = Signal()

#: After the result was saved, in the worker. Arguments: `task`.
post_execute = Signal()

if not TYPE_CHECKING:
    __getattr__ = signposts(__name__)
