"""Django settings: every value that differs between machines comes from the environment.

`docs/architecture.md` says what each part is for; the README lists the variables.
"""

import os
from pathlib import Path
from typing import Any

import dj_database_url

from cortensor_site.secrets import kept_secret

BASE_DIR = Path(__file__).resolve().parent.parent


def _flag(name: str, default: bool) -> bool:
    return os.environ.get(name, str(int(default))).lower() in {"1", "true", "yes", "on"}


def _items(name: str, default: str) -> list[str]:
    return [item.strip() for item in os.environ.get(name, default).split(",") if item.strip()]


# ── This installation ────────────────────────────────────────────────────────
VAR_DIR = Path(os.environ.get("VAR_DIR", BASE_DIR / "var"))
DEPLOYMENT_FILE = Path(os.environ.get("DEPLOYMENT_FILE", VAR_DIR / "deployment.json"))
STORAGE_DIR = Path(os.environ.get("STORAGE_DIR", VAR_DIR / "blocks"))
KEYSTORE_DIR = Path(os.environ.get("KEYSTORE_DIR", VAR_DIR / "keys"))
KEYSTORE_PASSWORD_FILE = Path(os.environ.get("KEYSTORE_PASSWORD_FILE", KEYSTORE_DIR / "password"))

SECRET_KEY = os.environ.get("SECRET_KEY") or kept_secret(VAR_DIR / "secret_key")
DEBUG = _flag("DEBUG", False)
ALLOWED_HOSTS = _items("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = _items("CSRF_TRUSTED_ORIGINS", "")

# ── The network ──────────────────────────────────────────────────────────────
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
# The Redis as miners on other machines reach it, rediss://HOST:PORT/0; the same one if empty.
REDIS_PUBLIC_URL = os.environ.get("REDIS_PUBLIC_URL", "")
RPC_URL = _items("RPC_URL", "http://127.0.0.1:8545")[0]
# The model that a session's `modelIdentifier` names, as a GGUF path or a Hugging Face repository.
MODELS: dict[int, str] = {
    1: os.environ.get("MODEL", str(BASE_DIR / "mining/node/models/cortensor-mini.gguf")),
}
# What sessions asks of the layers above it: `sessions.ports` has the types.
PROMPT_COUNTER = "mining.catalog.prompt_counter"
MINERS_ONLINE = "mining.directory.miners_online"
MINER_DIRECTORY = "mining.directory.miner_directory"
TASK_RECORDS = "mining.directory.task_records"
ROUTER_HEALTH = "cortensor_site.health.components"
ROUTER_ADDRESS = "cortensor_site.identity.router_address"
# Whether `bootstrap` gives accounts the coin of a development chain.
FUND_ACCOUNTS = _flag("FUND_ACCOUNTS", False)
# Shown on the dashboard's playground on a development network; never set it on a public one.
DEMO_API_KEY = os.environ.get("DEMO_API_KEY", "")
# The session that the playground starts with; 0 stands for the newest one of the demo key's owner.
DEMO_SESSION_ID = int(os.environ.get("DEMO_SESSION_ID", "0"))

# ── Django ───────────────────────────────────────────────────────────────────
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "chain",
    "sessions.apps.SessionsConfig",
    "mining",
    "cortensor_site",
]

MIDDLEWARE = [
    "sessions.api.request_id.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "cortensor_site.urls"
ASGI_APPLICATION = "cortensor_site.asgi.application"
# The published API has no trailing slashes; a redirect would drop the body of a POST.
APPEND_SLASH = False

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": dj_database_url.config(default="postgresql://postgres@127.0.0.1:5432/cortensor")
}
# A pool, so that a request's thread takes a connection only while it uses one.
DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {"min_size": 1, "max_size": 16}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "notices"},
    },
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
WHITENOISE_USE_FINDERS = True

X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["sessions.api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "sessions.api.errors.handle",
    "UNAUTHENTICATED_USER": None,
}

# ── Celery, the router's side: the validator's queue. Miners have their own application. ──
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "validation"
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": "router:", "visibility_timeout": 600}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": os.environ.get("LOG_LEVEL", "INFO")},
    "loggers": {"httpx": {"level": "WARNING"}, "web3": {"level": "WARNING"}},
}
