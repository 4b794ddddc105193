"""Addresses of the survey."""

from django.urls import path

from survey import views

app_name = "survey"
urlpatterns = [
    path("", views.home, name="home"),
    path("start/", views.start, name="start"),
    path("surveys/<int:pk>/progress/", views.progress, name="progress"),
    path("surveys/<int:pk>/findings/", views.findings, name="findings"),
]
