"""Settings of the sample project; the last block is what hooks need.

What a deployment says by environment variables has a default for the demo.
"""

import os

import dj_database_url

SECRET_KEY = os.environ.get("SECRET_KEY", "a demo has no secrets")
DEBUG = os.environ.get("DEBUG", "1") == "1"
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "127.0.0.1,localhost").split(",")
USE_TZ = True
ROOT_URLCONF = "project.urls"
STATIC_URL = "static/"
# The admin's few files, served by the web processes themselves.
WHITENOISE_USE_FINDERS = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"])}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "vehicles",
    "doh",
]
MIDDLEWARE = [
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

HOOK_ALLOWED_MODELS = ["vehicles.Vehicle"]
HOOK_COLLECTION_DELIVERER = "vehicles.hooks.Collection.delay"
HOOK_ELEMENT_DELIVERER = "vehicles.hooks.Element.delay"
# Such as 127.0.0.1:9810: where the worker's first process is to be asked for its metrics.
HOOK_METRICS_LISTEN = os.environ.get("HOOK_METRICS_LISTEN")
# A file that a worker touches as long as it lives.
HOOK_HEARTBEAT_PATH = os.environ.get("HOOK_HEARTBEAT_PATH")
# Seconds before each attempt. The real schedule takes days; a demo has a minute.
HOOK_RETRY_SCHEDULE = [0, 1, 1, 2]
if keys := os.environ.get("HOOK_ENCRYPTION_KEYS"):
    HOOK_ENCRYPTION_KEYS = keys.split(",")
# The demo's receivers are on this machine, on whatever port is free. Without these two lines only
# the public internet can be posted to, on the ports of the web.
HOOK_ALLOWED_NETWORKS = os.environ.get("HOOK_ALLOWED_NETWORKS", "127.0.0.0/8").split(",")
HOOK_ALLOWED_PORTS = range(1, 65_536)
