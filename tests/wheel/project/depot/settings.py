import os

import dj_database_url

SECRET_KEY = "a project of somebody else"
USE_TZ = True
DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"])}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "fleet.Driver"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "fleet"]
INSTALLED_APPS += ["doh"]

HOOK_ALLOWED_MODELS = ["fleet.Vehicle"]
HOOK_COLLECTION_DELIVERER = os.environ["COLLECTION"]
HOOK_ELEMENT_DELIVERER = os.environ["ELEMENT"]
HOOK_RING_TIMEOUT = 30
HOOK_ALLOWED_NETWORKS = ["127.0.0.0/8"]
HOOK_ALLOWED_PORTS = range(1, 65_536)
