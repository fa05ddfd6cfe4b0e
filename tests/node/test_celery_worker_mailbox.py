"""A miner's process when its mailbox is closed, cut, refused, or behind TLS."""

import time
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest

from mining.enrolment.redis_users import enrol
from mining.node.cli.parser import TRY_LATER
from mining.node.protocol.names import INFER
from mining.node.protocol.reports import PrecommitReport
from mining.node.worker.heart import MAILBOX_CLOSED
from tests.node.bench import new_job
from tests.node.router import TIMEOUT_S, Router
from tests.tls import CERTIFICATE, tls_before


def test_a_miner_whose_mailbox_is_closed_to_it_ends_to_be_started_again(router: Router) -> None:
    router.start()
    enrol(router.address)  # which changes the password, and cuts the connections
    assert router.process is not None
    assert router.process.wait(TIMEOUT_S) == MAILBOX_CLOSED


def test_a_miner_hears_again_after_its_connections_were_cut(router: Router) -> None:
    router.start()
    user = urlsplit(router.miner_url).username
    for _ in range(2):
        router.redis.execute_command("CLIENT", "KILL", "USER", user)
        time.sleep(0.5)
    job = new_job()
    router.send(INFER, "inference", job=job)
    router.until(lambda: router.of(PrecommitReport))
    assert router.end() == 0


def test_a_miner_that_redis_refuses_ends_with_an_error(router: Router) -> None:
    password = urlsplit(router.miner_url).password
    assert password is not None
    enrol(router.address)  # which changes the password
    ended = router.command("run")
    assert ended.returncode == 2
    assert "password" in ended.stderr
    assert password not in ended.stderr + ended.stdout


@pytest.fixture
def across_a_network(router: Router) -> Iterator[Router]:
    """The router's Redis behind TLS, where nodes of other machines find it."""
    parts = urlsplit(router.miner_url)
    assert parts.port is not None
    with tls_before(parts.port) as port:
        at = parts.netloc.rpartition("@")[0] + f"@127.0.0.1:{port}"
        router.environment["REDIS_URL"] = urlunsplit(parts._replace(scheme="rediss", netloc=at))
        router.environment["REDIS_CA_FILE"] = str(CERTIFICATE)
        yield router


def test_a_miner_works_across_tls(across_a_network: Router) -> None:
    router = across_a_network
    router.start()
    router.have_done(new_job())
    assert router.end() == 0


def test_a_mailbox_whose_certificate_is_not_trusted_gets_no_password(
    across_a_network: Router,
) -> None:
    router = across_a_network
    password = urlsplit(router.miner_url).password
    url = router.environment["REDIS_URL"]
    del router.environment["REDIS_CA_FILE"]
    # Whatever the URL says of it, the server has to prove itself.
    for told in (url, url + "?ssl_cert_reqs=none"):
        router.environment["REDIS_URL"] = told
        ended = router.command("run")
        assert ended.returncode == TRY_LATER
        assert "certificate verify failed" in ended.stderr
        assert str(password) not in ended.stderr


def test_a_mailbox_with_the_certificate_of_another_host_is_refused(
    across_a_network: Router,
) -> None:
    router = across_a_network
    router.environment["REDIS_URL"] = router.environment["REDIS_URL"].replace(
        "@127.0.0.1:", "@127.0.0.2:"
    )
    ended = router.command("run")
    assert ended.returncode == TRY_LATER
    assert "certificate verify failed: IP address mismatch" in ended.stderr
