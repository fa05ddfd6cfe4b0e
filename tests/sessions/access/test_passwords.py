"""The operator's password cannot be guessed by many attempts."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

pytestmark = pytest.mark.django_db


def try_password(client: Client, password: str, address: str = "10.0.0.1") -> bool:
    client.post("/admin/login/", {"username": "op", "password": password}, REMOTE_ADDR=address)
    return "_auth_user_id" in client.session


def test_after_some_wrong_passwords_an_address_waits_and_others_do_not(
    client: Client, limits: Callable[..., None]
) -> None:
    limits(wrong_passwords_per_minute=3)
    User.objects.create_superuser("op", password="the right one")
    for guess in ("a", "b", "c"):
        assert not try_password(client, guess)
    assert not try_password(client, "the right one")
    assert try_password(client, "the right one", address="10.0.0.2")
