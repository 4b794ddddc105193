"""The admin as a person sees it, in headless Chromium."""

import json
from datetime import timedelta
from typing import Any

from django.utils import timezone

from django_q import package, sealed
from django_q.models import Cancellation, Failure, OrmQ, Rejected, Success, Task, Tracked

from .desk import make_task

#: A `tests.admin.visitor.Visitor`; it is not imported here, for that needs selenium.
Visitor = Any

_FRAME = '  File "/srv/shop/orders/views_{0}.py", line {0}, in step_{0}\n    return step(order)\n'
ERROR = (
    "No such order: 4711 <script>alert(1)</script> : Traceback (most recent call last):\n"
    + "".join(_FRAME.format(number) for number in range(20))
    + "shop.errors.OrderError: No such order: 4711 <script>alert(1)</script>"
)
ORDER = {
    "number": 4711,
    "customer": "Ada Lovelace",
    "lines": [{"article": f"A-{number}", "amount": number} for number in range(12)],
    "remark": "Leave it with the neighbours, please. " * 8,
}


def make_order(result: Any, **values: Any) -> Task:
    fields = {"func": "shop.orders.tasks.ship", "cluster": "default", "group": "orders-2026-11"}
    fields |= {"args": (4711, "express"), "kwargs": {"order": ORDER}}
    return make_task(result, **fields | values)


def test_a_failure_is_looked_at_and_resubmitted(visitor: Visitor) -> None:
    task = make_order(ERROR, success=False)
    make_order("Out of paper", success=False, func="shop.printing.tasks.print_label", group=None)

    visitor.log_in()
    visitor.look("index")
    visitor.follow("Failed tasks")
    visitor.look("failures")
    assert "No such order: 4711 <script>alert(1)</script>" in visitor.read("#result_list")
    assert not visitor.is_wider_than_window()
    visitor.follow(task.name)
    visitor.look("failure")
    assert not visitor.is_wider_than_window()
    text = visitor.read("#content-main")
    assert "3.0 s" in text
    assert "734 ms" in text
    assert "'customer': 'Ada Lovelace'" in text
    assert "step_19" in text
    assert "step_1\n" not in text
    visitor.click(".field-shown_result summary")
    assert "step_1\n" in visitor.read("#content-main")
    visitor.click(".object-tools .django-q-button")

    visitor.wait_for("1 task was resubmitted.")
    visitor.look("resubmitted")
    assert OrmQ.objects.get().args() == (4711, "express")
    assert not Failure.objects.filter(pk=task.pk).exists()


def test_all_failures_that_match_are_resubmitted(visitor: Visitor) -> None:
    for number in range(130):
        make_order("Out of paper", success=False, ago=number, func=f"shop.tasks.f{number % 2}")
    visitor.log_in()

    visitor.go("/admin/django_q/failure/?func=shop.tasks.f1&range=all")
    visitor.type("#searchbar", "shop")
    visitor.click("#changelist-search input[type=submit]")
    visitor.wait_for("65 results")
    visitor.go("/admin/django_q/failure/")
    visitor.click("#action-toggle")
    visitor.click(".actions .question a")
    visitor.look("select-all")
    visitor.act("resubmit_task")

    visitor.wait_for("130 tasks were resubmitted.")
    assert OrmQ.objects.count() == 130
    assert not Failure.objects.exists()


def test_a_group_can_be_typed(visitor: Visitor) -> None:
    make_order(2.0, success=True, group="old group")
    make_order(3.0, success=True)
    visitor.log_in()

    visitor.go("/admin/django_q/success/")
    visitor.find("#result_list tbody tr")
    assert visitor.count("#result_list tbody tr") == 2
    visitor.type(".django-q-box input[type=text]", "old group\n")
    visitor.wait_for("1 result")

    visitor.look("successes")
    assert visitor.count("#result_list tbody tr") == 1


def test_the_queue_and_what_was_rejected_can_be_looked_at(visitor: Visitor) -> None:
    built = package.build_package(
        "shop.orders.tasks.ship", (4711,), {"order": ORDER}, {"group": "orders", "timeout": 30}
    )
    payload = sealed.seal_package(built, "default")
    row = OrmQ.objects.create(key="default", payload=payload, lock=timezone.now())
    OrmQ.objects.create(key="reports", payload=payload, lock=timezone.now() + timedelta(hours=1))
    Rejected.objects.create(queue="default", payload=payload, reason="BadSignature", digest="d")
    visitor.log_in()

    visitor.go("/admin/django_q/ormq/")
    visitor.look("queue")
    assert "Delayed" in visitor.read("#result_list")
    visitor.follow(str(row.pk))
    visitor.look("queued")
    visitor.go("/admin/django_q/rejected/")
    visitor.look("rejected")
    visitor.follow("BadSignature")
    visitor.look("one-rejected")
    assert not visitor.is_wider_than_window()
    visitor.click(".object-tools .django-q-button")

    visitor.wait_for("1 package was requeued.")
    assert OrmQ.objects.count() == 3


def test_it_holds_in_the_dark_and_on_a_telephone(visitor: Visitor) -> None:
    task = make_order(ERROR, success=False)
    visitor.log_in()
    visitor.browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    visitor.go(f"/admin/django_q/failure/{task.pk}/change/")
    visitor.look("dark")
    visitor.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    visitor.browser.set_window_size(500, 900)
    visitor.go(f"/admin/django_q/failure/{task.pk}/change/")
    visitor.look("telephone")

    assert not visitor.is_wider_than_window()
    visitor.browser.set_window_size(1280, 900)


def test_a_result_is_laid_out(visitor: Visitor) -> None:
    task = make_order({"orders": [ORDER] * 3, "json": json.dumps(ORDER)}, success=True)
    visitor.log_in()

    visitor.go(f"/admin/django_q/success/{task.pk}/change/")
    visitor.look("success")

    assert "more lines" in visitor.read(".field-shown_result")
    assert Success.objects.get() == task


def test_tasks_under_way_fit_and_are_cancelled(visitor: Visitor) -> None:
    now = timezone.now()
    common = {"queue": "default", "seen": now, "enqueued": now - timedelta(minutes=3)}
    for number, name in enumerate(("winter-table-autumn-robert", "kilo-seventeen-moon-fanta")):
        Tracked.objects.create(
            id=f"{number:032x}", name=name, func="shop.orders.tasks.send_confirmation",
            state="running", started=now - timedelta(minutes=number * 90), attempt=number + 1,
            worker="web-7c9f8d6b54-x2x9k:4711", done=number * 3200, total=12_000,
            text="Letters to the customers of November", **common,
        )  # fmt: skip
    Tracked.objects.create(
        id="f" * 32, name="video-fifteen-fourteen-queen", func="shop.stock.count",
        state="scheduled", run_at=now + timedelta(days=2), **common,
    )  # fmt: skip
    visitor.log_in()

    visitor.go("/admin/django_q/tracked/")
    visitor.look("under-way")
    assert not visitor.is_wider_than_window()
    assert not visitor.is_cut_off("#changelist .results")
    visitor.follow("winter-table-autumn-robert")
    visitor.look("one-under-way")
    assert not visitor.is_wider_than_window()
    visitor.go("/admin/django_q/tracked/")
    visitor.click("#action-toggle")
    visitor.act("cancel")

    visitor.wait_for("3 tasks were cancelled.")
    assert Cancellation.objects.count() == 3
