import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "depot.settings")
app = Celery("depot")
app.config_from_object("celeryconfig")
