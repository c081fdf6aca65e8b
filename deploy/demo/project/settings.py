"""Settings of the demo; the last block is what hooks need."""

import os

import dj_database_url

SECRET_KEY = "a demo has no secrets"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
USE_TZ = True
ROOT_URLCONF = "project.urls"
STATIC_URL = "static/"
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
# Seconds before each attempt. The real schedule takes days; a demo has a minute.
HOOK_RETRY_SCHEDULE = [0, 1, 1, 2]
