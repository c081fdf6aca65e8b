"""A small Django project: vehicles, and people who want to hear of them."""

from project.celery import app as celery_app

__all__ = ["celery_app"]
