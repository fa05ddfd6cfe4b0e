"""Embeddings: floats or base64, in order, from the router's own model."""

import base64
from typing import Any

import numpy as np
import pytest

from sessions import embedding_thread
from tests.sessions.faces.openai.answers import assert_error
from tests.sessions.faces.openai.conftest import Api

pytestmark = pytest.mark.django_db(transaction=True)

ASKED: dict[str, Any] = {"model": "letters", "input": ["a b", "ccc"]}


def test_each_text_has_a_vector_in_its_place(api: Api) -> None:
    answer = api("POST", "embeddings", ASKED).json()
    assert answer == {
        "object": "list",
        "model": "letters",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [1.0, 1.0, 0.0]},
            {"object": "embedding", "index": 1, "embedding": [0.0, 0.0, 3.0]},
        ],
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }


def test_base64_holds_the_same_numbers(api: Api) -> None:
    asked = ASKED | {"input": "abca", "encoding_format": "base64", "dimensions": 3}
    [item] = api("POST", "embeddings", asked).json()["data"]
    assert np.frombuffer(base64.b64decode(item["embedding"]), "<f4").tolist() == [2.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"model": "tiny-test"}, 404, "model_not_found", "model"),
        ({"input": []}, 400, "invalid_value", "input"),
        ({"input": [[1, 2]]}, 400, "invalid_value", "input[0]"),
        ({"input": ["x"] * 65}, 400, "invalid_value", "input"),
        ({"input": "x" * 8193}, 400, "invalid_value", "input[0]"),
        ({"encoding_format": "hex"}, 400, "invalid_value", "encoding_format"),
        ({"dimensions": 2}, 400, "invalid_value", "dimensions"),
        ({"truncate": True}, 400, "unknown_parameter", "truncate"),
    ],
)
def test_a_wrong_value_is_refused_by_name(
    api: Api, change: dict[str, Any], status: int, code: str, param: str
) -> None:
    assert_error(api("POST", "embeddings", ASKED | change), status, code, param)


def test_a_key_is_needed(api: Api) -> None:
    assert_error(api("POST", "embeddings", ASKED, key=None), 401, "invalid_api_key")


def test_when_too_many_wait_the_next_is_sent_away_for_a_moment(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding_thread, "MAX_WAITING", 0)
    response = api("POST", "embeddings", ASKED)
    assert_error(response, 503, "embeddings_busy")
    assert int(response["Retry-After"]) > 0
