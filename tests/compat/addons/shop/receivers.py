"""Receivers that django-q-signals lets the cluster call.

Without `weak=False` they are gone at once: nothing holds what it connects.
"""

from typing import Any

from django.contrib.auth.models import User
from django.db.models.signals import post_save
from django_q_signals import async_receiver


@async_receiver(post_save, sender=User, weak=False)
def greet(sender: Any, instance: Any, **kwargs: Any) -> str:
    """Greet a new user."""
    return f"hello {instance.username}, {kwargs['created']}"


@async_receiver(post_save, sender=User, weak=False)
async def count(sender: Any, instance: Any, **kwargs: Any) -> int:
    """Count the letters of the name."""
    return len(instance.username)
