"""Settings of the project that the tests run in."""

import os

import dj_database_url

SECRET_KEY = "tests only"
DEBUG = False
USE_TZ = True
TIME_ZONE = "America/New_York"
ROOT_URLCONF = "tests.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ALLOWED_HOSTS = ["*"]

DATABASES = {
    "default": dj_database_url.parse(os.environ.get("DATABASE_URL", "sqlite://:memory:")),
    "other": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
}
if os.environ.get("DOH_TEST_REPEATABLE_READ"):
    from psycopg import IsolationLevel

    DATABASES["default"]["OPTIONS"] = {"isolation_level": IsolationLevel.REPEATABLE_READ}
DATABASE_ROUTERS = ["tests.app.routers.OtherRouter"]
if DATABASES["default"]["ENGINE"].endswith("mysql"):
    import pymysql

    pymysql.install_as_MySQLdb()

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "doh",
    "tests.app",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
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
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

HOOK_ALLOWED_MODELS = ["app.Vehicle", "app.Parcel", "app.Depot", "app.Everything", "app.Remote"]

# Tests count messages: none may be missing because a machine stood still for a moment.
HOOK_RING_TIMEOUT = 30

# Receivers of the tests are on this machine, on whatever port was free.
HOOK_ALLOWED_NETWORKS = ["127.0.0.0/8", "::1/128"]
HOOK_ALLOWED_PORTS = range(1, 65_536)
