"""Settings of a project that uses django-rest-hooks and django-webhook, for `fill`."""

import os

import dj_database_url

from tests.importing.events import HOOK_EVENTS  # noqa: F401
from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

DATABASES = {"default": dj_database_url.parse(os.environ["FOREIGN_DATABASE_URL"])}
DATABASE_ROUTERS = []
INSTALLED_APPS = [name for name in INSTALLED_APPS if name not in ("doh", "tests.app")]
INSTALLED_APPS += ["tests.app", "rest_hooks", "django_webhook"]
DJANGO_WEBHOOK = {"MODELS": ["app.Vehicle", "app.Depot"]}
