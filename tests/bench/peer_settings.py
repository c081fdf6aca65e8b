"""The demo's vehicles with django-webhook instead, in a database of its own."""

import os

import dj_database_url

SECRET_KEY = "a benchmark has no secrets"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": dj_database_url.parse(os.environ["BENCH_PEER_DATABASE"])}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "vehicles",
    "django_webhook",
]
DJANGO_WEBHOOK = {"MODELS": ["vehicles.Vehicle"]}
