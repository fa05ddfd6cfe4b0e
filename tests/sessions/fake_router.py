"""A Django application that registers `tests.sessions.ports` in place of a router's functions."""

from django.apps import AppConfig


class FakeRouterConfig(AppConfig):
    name = "tests.sessions"
    label = "fake_router"

    def ready(self) -> None:
        from sessions import ports
        from tests.sessions.ports import FAKES

        ports.register(lambda: FAKES)
