"""A Django application that puts `tests.sessions.ports` in the place of what a router registers."""

from django.apps import AppConfig


class FakeRouterConfig(AppConfig):
    name = "tests.sessions"
    label = "fake_router"

    def ready(self) -> None:
        from sessions import ports
        from tests.sessions.ports import FAKES

        ports.register(lambda: FAKES)
