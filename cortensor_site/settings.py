"""Django settings: every value that differs between machines comes from the environment.

`docs/architecture.md` says what each part is for; the README lists the variables.
"""

import os
from pathlib import Path
from typing import Any

import dj_database_url

from cortensor_site.secrets import kept_secret
from sessions import VERSION

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
# How clients reach the routers, as `https://router.example`; empty for the host that they asked.
PUBLIC_URL = os.environ.get("PUBLIC_URL", "").rstrip("/")
# Who may read /metrics: whoever sends the token or, without one, these networks.
METRICS_TOKEN = os.environ.get("METRICS_TOKEN", "")
METRICS_ALLOWED = _items("METRICS_ALLOWED", "127.0.0.0/8,::1/128")
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
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "chain",
    "sessions.apps.SessionsConfig",
    "mining",
    "cortensor_site",
]

MIDDLEWARE = [
    "sessions.api.request_id.RequestIdMiddleware",
    "cortensor_site.metrics.requests.MeasureRequests",
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

# ── The API's description: OpenAPI 3.1, all of it from this host ──
REST_FRAMEWORK["DEFAULT_SCHEMA_CLASS"] = "drf_spectacular.openapi.AutoSchema"
SCHEMA_PATHS = ["sessions.api.schema.completions.PATHS"]
SCHEMA_COMPONENTS = ["sessions.api.schema.completions.COMPONENTS"]
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Cortensor router",
    "DESCRIPTION": "Sessions, tasks, answers and miners. Errors are problem details (RFC 9457).",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "AUTHENTICATION_WHITELIST": [],
    "APPEND_COMPONENTS": {"securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer"}}},
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "PREPROCESSING_HOOKS": ["sessions.api.schema.hooks.published_only"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "sessions.api.schema.hooks.complete",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
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
        "line": {"()": "cortensor_site.log_format.LineFormatter"},
        "json": {"()": "cortensor_site.log_format.JsonFormatter"},
    },
    "filters": {"context": {"()": "sessions.log_context.ContextFilter"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "json" if os.environ.get("LOG_FORMAT") == "json" else "line",
            "filters": ["context"],
        }
    },
    "root": {"handlers": ["console"], "level": os.environ.get("LOG_LEVEL", "INFO")},
    "loggers": {"httpx": {"level": "WARNING"}, "web3": {"level": "WARNING"}},
}
