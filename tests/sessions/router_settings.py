"""The settings of a web process in tests: `tests.sessions.ports` replaces the layers above."""

from cortensor_site.settings import *  # noqa: F403
from cortensor_site.settings import INSTALLED_APPS as _INSTALLED_APPS

INSTALLED_APPS = [*_INSTALLED_APPS, "tests.sessions.fake_router.FakeRouterConfig"]
