"""A fuzzer that reads the schema of `/v1` gets the described responses."""

from typing import Any

import httpx
import pytest
import schemathesis
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from sessions.faces.openai.openapi.paths import COMPONENTS, PATHS
from tests.sessions.faces.rest.test_schema import CHECKS
from tests.sessions.factories import make_key, make_session

pytestmark = pytest.mark.django_db(transaction=True)

EXAMPLES = 40
MODEL = "tiny-test"


@pytest.fixture
def described() -> Any:
    return Client().get("/api/schema").json()


@pytest.mark.parametrize("path", sorted(PATHS))
def test_a_fuzzer_gets_documented_answers_only(
    path: str, described: Any, server: str, miners: None, settings: Settings
) -> None:
    settings.MODELS = {1: f"/models/{MODEL}.gguf"}
    make_session()
    _, secret = make_key()
    headers = {"Authorization": f"Bearer {secret}"}
    [(method, _)] = described["paths"][path].items()
    operation = schemathesis.openapi.from_dict(described)[path][method]
    statuses = set()

    @_fuzzing
    @given(case=operation.as_strategy(), known=st.booleans(), junk=st.binary(max_size=40))
    def fuzz(case: schemathesis.Case, known: bool, junk: bytes) -> None:
        if known:
            case.headers.pop("X-Session-ID", None)
            case.path_parameters |= dict.fromkeys(case.path_parameters, MODEL)
            if isinstance(case.body, dict):
                case.body |= {"model": "letters" if "input" in case.body else MODEL}
                case.body.pop("session_id", None)
        answer = case.call(base_url=server, headers=headers, timeout=10)
        case.validate_response(answer, checks=CHECKS)
        statuses.add(answer.status_code)
        if method == "post":
            refused = httpx.post(server + path, content=junk, headers=headers)
            assert set(refused.json()) == {"error"}
            assert 400 <= refused.status_code < 500

    fuzz()
    assert 200 in statuses


_fuzzing = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("path", sorted(PATHS))
def test_every_example_is_what_is_described(path: str, described: Any) -> None:
    [operation] = described["paths"][path].values()
    bodies = [operation["responses"]["200"]]
    if "requestBody" in operation:
        bodies.append(operation["requestBody"])
    for body in bodies:
        content = body["content"]["application/json"]
        shape = COMPONENTS[content["schema"]["$ref"].rpartition("/")[2]]
        assert set(shape["required"]) <= set(content["example"]) <= set(shape["properties"])
