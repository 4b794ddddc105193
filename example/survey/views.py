"""The page, and the two addresses that it asks while a survey runs."""

import platform
from dataclasses import asdict
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from django_q.status import Stat
from django_q.tasks import queue_size
from survey.models import Survey
from survey.report import report
from survey.start import start_survey

#: How many of the latest files the page names while they go by.
LATEST = 5


@require_GET
@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """The latest survey, or the invitation to start the first one."""
    survey = Survey.objects.first()
    context: dict[str, Any] = {"survey": survey, "python": platform.python_version()}
    if survey is not None:
        context |= {"progress": _progress(survey)} | _findings(survey)
    return render(request, "survey/home.html", context)


@require_POST
def start(request: HttpRequest) -> HttpResponse:
    """Start a survey, unless one is under way, and go back to the page."""
    latest = Survey.objects.first()
    # Unfinished with nothing in the queue: its tasks are gone (a purged queue), so start anew.
    if latest is not None and not latest.progress().finished and queue_size():
        messages.info(request, "A survey is still running. This is how far it is.")
    else:
        start_survey()
    return redirect("survey:home")


@require_GET
@never_cache
def progress(request: HttpRequest, pk: int) -> JsonResponse:
    """How far a survey is: what the page's script asks for twice a second."""
    return JsonResponse(_progress(get_object_or_404(Survey, pk=pk)))


@require_GET
@never_cache
def findings(request: HttpRequest, pk: int) -> HttpResponse:
    """Failures, and the ranking once all is done: a piece of the page."""
    return render(request, "survey/_findings.html", _findings(get_object_or_404(Survey, pk=pk)))


def _progress(survey: Survey) -> dict[str, Any]:
    progress = survey.progress()
    results = [task.result for task in survey.tasks().filter(success=True)[:LATEST]]
    return asdict(progress) | {
        "finished": progress.finished,
        "workers": sum(len(cluster.workers) for cluster in Stat.get_all()),
        "latest": [{"path": result["path"], "tokens": result["tokens"]} for result in results],
    }


def _findings(survey: Survey) -> dict[str, Any]:
    finished = survey.progress().finished
    return {
        "survey": survey,
        "failures": survey.failures(),
        "report": report(survey.results()) if finished else None,
    }
