"""Rows to look at, and pages to look at them."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_q import package, sealed
from django_q.humanhash import uuid
from django_q.models import OrmQ, Task

HTML = "<script>alert(1)</script>"


def make_task(result: Any = None, *, ago: float = 1.5, **fields: Any) -> Task:
    """A task that was sent three seconds before it ran, and ran for 734 ms."""
    name, task_id = uuid()
    start = timezone.now() - timedelta(seconds=ago)
    values = {"id": task_id, "name": name, "func": "math.sqrt", "args": (4,), "kwargs": {}}
    values |= {"enqueued": start - timedelta(seconds=3), "started": start}
    values |= {"stopped": start + timedelta(seconds=0.734), "result": result}
    return Task.objects.create(**values | fields)


def make_queued(*args: Any, queue: str = "default", **options: Any) -> OrmQ:
    """A package in the ORM broker's queue."""
    built = package.build_package("math.sqrt", args, {}, options)
    payload = sealed.seal_package(built, queue)
    return OrmQ.objects.create(key=queue, payload=payload, lock=timezone.now())


def client_with(*permissions: str) -> Client:
    """A browser of somebody with these permissions."""
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    browser = Client()
    browser.force_login(user)
    return browser


def page(model: Any, kind: str = "changelist", *arguments: Any) -> str:
    """The address of a page."""
    return reverse(f"admin:django_q_{model._meta.model_name}_{kind}", args=arguments)


def get(client: Client, model: Any, row: Any = None, **query: str) -> str:
    """The HTML of a list, or of the page of a row."""
    address = page(model, "change", row.pk) if row else page(model)
    response = client.get(address, query)
    assert response.status_code == 200
    return response.content.decode()


def act(client: Client, model: Any, action: str, *rows: Any, query: str = "", **data: Any) -> str:
    """The HTML of the list after an action of it was taken."""
    data |= {"action": action, "_selected_action": [row.pk for row in rows]}
    response = client.post(page(model) + query, data, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def names(html: str) -> list[str]:
    """The names of the tasks in a list, in order."""
    rows = html.split('class="field-name"')[1:]
    return [row.split("</a>")[0].rpartition(">")[2] for row in rows]
