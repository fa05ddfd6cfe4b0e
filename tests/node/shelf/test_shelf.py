"""Several models in one memory budget: which are loaded, which are unloaded, and which wait."""

import logging
import threading
import time
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

import pytest

from mining.node.config import SHIPPED_MODEL, NodeConfig, ServedModel
from mining.node.engine.generation import GenerationRequest
from mining.node.llm.llama import Model
from mining.node.llm.prompts import CHAT, ModelUnknown
from mining.node.shelf import memory
from mining.node.shelf.memory import NotEnoughMemory, available_bytes, cell_bytes, needed_bytes
from mining.node.shelf.model_source import ModelSourceError, sha256_of
from mining.node.shelf.model_trial import ModelUnfit
from mining.node.shelf.serving import open_shelf
from mining.node.shelf.shelf import ModelUnavailable, NoRoom, Shelf

MINI, MICRO = SHIPPED_MODEL, SHIPPED_MODEL.with_name("cortensor-micro.gguf")


def config(home: Path, **changes: object) -> NodeConfig:
    values: dict[str, object] = {
        "home": home,
        "redis_url": None,
        "models": (ServedModel(1, str(MINI)), ServedModel(2, str(MICRO))),
        "slots": 2,
        "threads": 1,
        "context_tokens": 256,
        "password": None,
    }
    return NodeConfig(**{**values, **changes})  # type: ignore[arg-type]


def silent(_step: str, _share: float) -> None:
    """Show no progress."""


def ask(shelf: Shelf, identifier: int) -> str:
    """What a model says of its own kind of question."""
    prompt = shelf.prompts(identifier).tokenise("What is 2 + 3?", CHAT)
    with shelf.take(identifier, 5) as place:
        return place.engine().submit(GenerationRequest(prompt, 24)).result(20).text


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Shelf]:
    """Both shipped models, and room for the larger one alone."""
    both = open_shelf(config(tmp_path), {}, silent)
    largest = max(place.model.needed_bytes for place in both._places.values())
    shelf = open_shelf(config(tmp_path, memory_bytes=largest), {}, silent)
    yield shelf
    shelf.close()


@pytest.fixture
def wide(tmp_path: Path) -> Iterator[Shelf]:
    """Both shipped models, and room for them."""
    shelf = open_shelf(config(tmp_path), {}, silent)
    yield shelf
    shelf.close()


def test_models_that_fit_stay_loaded_and_answer_as_themselves(wide: Shelf) -> None:
    wide.preload()
    assert sorted(wide.speeds()) == wide.identifiers == [1, 2]
    assert "5" in ask(wide, 1)
    assert ask(wide, 1) != ask(wide, 2)
    assert all(speed > 0 for speed in wide.speeds().values())


def test_the_one_that_is_not_in_use_goes_for_the_one_that_is_needed(narrow: Shelf) -> None:
    narrow.preload()
    assert list(narrow.speeds()) == [1]
    ask(narrow, 2)
    assert list(narrow.speeds()) == [2]
    assert "5" in ask(narrow, 1)
    assert list(narrow.speeds()) == [1]


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    three = tuple(ServedModel(n, str(MICRO)) for n in (1, 2, 3))
    room = open_shelf(config(tmp_path, models=three), {}, silent)._places[1].model.needed_bytes
    shelf = open_shelf(config(tmp_path, models=three, memory_bytes=2 * room), {}, silent)
    for identifier in (1, 2, 1, 3):
        ask(shelf, identifier)
    assert list(shelf.speeds()) == [1, 3]
    shelf.close()


def test_a_model_at_work_is_never_taken_away(narrow: Shelf) -> None:
    with narrow.take(1, 0) as working:
        engine = working.engine()
        with pytest.raises(NoRoom, match="models in use hold"), narrow.take(2, 0.05):
            pass
        assert working.engine() is engine
        assert list(narrow.speeds()) == [1]
    ask(narrow, 2)


def test_a_job_waits_for_the_room_that_another_gives_back(narrow: Shelf) -> None:
    said: list[str] = []
    with narrow.take(1, 0) as working:
        working.engine()
        waiting = threading.Thread(target=lambda: said.append(ask(narrow, 2)))
        waiting.start()
        time.sleep(0.1)
        assert not said
    waiting.join(20)
    assert said


def test_many_jobs_of_many_models_share_what_there_is(narrow: Shelf) -> None:
    said: dict[int, str] = {}

    def work(number: int) -> None:
        said[number] = ask(narrow, 1 + number % 2)

    alone = {identifier: ask(narrow, identifier) for identifier in (1, 2)}
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert said == {number: alone[1 + number % 2] for number in range(8)}
    assert len(narrow.speeds()) == 1


def test_loading_is_shown_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[tuple[str, float]] = []
    shelf = open_shelf(config(tmp_path), {}, lambda step, share: seen.append((step, share)))
    with caplog.at_level(logging.INFO, logger="mining.node.shelf.shelf"):
        ask(shelf, 2)
    steps = [step for step, _ in groupby(step for step, _ in seen)]
    assert steps == ["trying model 1", "trying model 2", "loading model 2"]
    shares = [share for step, share in seen if step == "loading model 2"]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert "model 2 was loaded" in caplog.text
    shelf.close()


def test_a_model_that_exceeds_the_budget_is_refused_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mining.node.shelf.serving.Engine", None)
    with pytest.raises(NotEnoughMemory) as refused:
        open_shelf(config(tmp_path, memory_bytes=6 * 2**20), {}, silent)
    assert str(refused.value).startswith("MEMORY_BUDGET: model 1 takes about")
    assert "lower SLOTS or CONTEXT_TOKENS" in str(refused.value)


def test_without_a_budget_the_machines_own_memory_is_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (available_bytes() or 0) > 100 * 2**20
    monkeypatch.setattr(memory, "available_bytes", lambda: 2**20)
    with pytest.raises(NotEnoughMemory):
        open_shelf(config(tmp_path), {}, silent)
    open_shelf(config(tmp_path, gpu_layers=1), {}, silent)  # a GPU's memory is its own


def test_what_a_model_takes_is_known_from_its_header() -> None:
    model = Model(MINI, vocab_only=True)
    less = needed_bytes(model, slots=1, context_tokens=512, batch_tokens=512)
    more = needed_bytes(model, slots=3, context_tokens=512, batch_tokens=512)
    assert more - less == 2 * 512 * cell_bytes(model)
    assert less > MINI.stat().st_size


def test_a_model_that_is_not_served_is_named(wide: Shelf) -> None:
    with pytest.raises(ModelUnknown, match="this miner has 1, 2"):
        wide.prompts(3)
    with pytest.raises(ModelUnknown), wide.take(3, 0):
        pass


def test_a_file_that_goes_bad_after_the_start_fails_its_jobs_alone(tmp_path: Path) -> None:
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(MICRO.read_bytes())
    models = (ServedModel(1, str(MINI)), ServedModel(2, str(copy)))
    shelf = open_shelf(config(tmp_path, models=models), {}, silent)
    copy.write_bytes(copy.read_bytes()[: 300 * 1024])
    with pytest.raises(ModelUnavailable, match="complete GGUF"):
        ask(shelf, 2)
    assert "5" in ask(shelf, 1)
    copy.write_bytes(MICRO.read_bytes())
    assert ask(shelf, 2)
    shelf.close()


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _foreign(data: bytes) -> bytes:
    return b"PK\x03\x04" + data[4:]


def _wild_header(data: bytes) -> bytes:
    return data[:8] + b"\xff" * 16 + data[24:]


@pytest.mark.parametrize("spoil", [_cut, _foreign, _wild_header, lambda _: b""])
def test_a_truncated_or_foreign_file_is_refused_with_its_path(tmp_path: Path, spoil) -> None:  # type: ignore[no-untyped-def]
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(spoil(MICRO.read_bytes()))
    models = (ServedModel(1, str(bad)),)
    with pytest.raises(ModelUnfit, match="complete GGUF file"):
        open_shelf(config(tmp_path, models=models), {}, silent).preload()


def test_the_networks_digest_binds_as_well_as_the_owners(tmp_path: Path) -> None:
    mini, micro = sha256_of(MINI), sha256_of(MICRO)
    opened = partial(open_shelf, progress=silent)
    assert opened(config(tmp_path), {1: mini, 2: micro}).identifiers == [1, 2]
    with pytest.raises(ModelSourceError, match="it is another file"):
        opened(config(tmp_path), {1: micro})
    assert opened(config(tmp_path, unverified=True), {1: micro}).identifiers == [1, 2]
    with pytest.raises(ModelSourceError, match="it is another file"):
        opened(config(tmp_path, models=(ServedModel(1, str(MINI), micro),)), {1: mini})
