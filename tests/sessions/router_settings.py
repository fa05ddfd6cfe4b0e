"""The settings of a web process in these tests: what stands above sessions is `ports`."""

from cortensor_site.settings import *  # noqa: F403
from cortensor_site.settings import INSTALLED_APPS as _INSTALLED_APPS

INSTALLED_APPS = [*_INSTALLED_APPS, "tests.sessions.fake_router.FakeRouterConfig"]
