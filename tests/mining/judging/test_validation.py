"""From revealed answers to verdicts, with a real model and real embeddings."""

import json
import time
from dataclasses import replace

import pytest
from django.utils import timezone

from chain import storage
from chain.deployed import keys as chain_keys
from chain.models import Operation
from chain.protocol.digests import canonical_json
from chain.protocol.messages import SigningDomain, Verdict, recover
from mining import keys
from mining.assignment import mailbox
from mining.assignment.leases import lease
from mining.judging.validation import MORE_ENTRIES, is_audited, validate
from mining.models import AssignmentStatus, ValidationMethod
from mining.node.engine.batch_engine import Engine
from mining.node.engine.generation import GenerationRequest
from mining.node.protocol.sampling_params import SamplingParams
from sessions.intake.options import GenerationOptions
from sessions.models import TaskStatus
from sessions.stages.task_states import mark_assigned, mark_committed, mark_precommitted
from tests.mining.conftest import CHAIN_ID, QUEUE, make_account, make_miner, make_task

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("router_redis")]


@pytest.fixture(scope="module")
def engine(model_path):
    engine = Engine(model_path)
    yield engine
    engine.close()


@pytest.fixture
def validator(settings, model):
    settings.KEYSTORE_DIR.mkdir()
    settings.KEYSTORE_PASSWORD_FILE.write_text("secret")
    keys.validator.cache_clear()
    yield chain_keys.load_or_create(settings.KEYSTORE_DIR / "validator.json", "secret")
    keys.validator.cache_clear()


def honest(engine, task, prompt=None, logprobs=0, seed=b""):
    """Return an honest miner's answer: text and tokens."""
    tokens = engine.prompts.tokenise(prompt or task.task_data, task.prompt_type)
    request = GenerationRequest(
        tokens,
        task.max_tokens,
        SamplingParams(temperature=task.temperature_x100 / 100),
        seed=seed or bytes.fromhex(task.task_digest[2:]),
        deadline_at=time.time() + 30,
        logprobs=logprobs,
    )
    generation = engine.submit(request)
    if task.enough_characters is not None:
        generation.shorten(task.enough_characters)
    result = generation.result(30)
    answer = (result.text, result.token_ids, result.finish_reason.value)
    told = [each.to_json()[1:] for each in result.logprobs]
    return (*answer, told) if logprobs else answer


def revealed(task, answers):
    """Create a task whose miners have revealed these answers. Return the assignments in order."""
    miners = [make_account().address for _ in answers]
    now = timezone.now()
    for miner in miners:
        make_miner(miner)
    mark_assigned(task, miners)
    lease(task, dict(enumerate(miners)), now, live=0)
    mark_precommitted(task, miners)
    mark_committed(task, miners)
    parts = list(task.assignments.order_by("position"))
    for part, (text, token_ids, finish_reason, *logprobs) in zip(parts, answers, strict=True):
        content = canonical_json(
            {
                "result": text,
                "salt": "0x00",
                "session_id": task.session_id,
                "task_id": task.task_id,
                "task_digest": task.task_digest,
                "miner": part.miner,
                "model": 1,
                "finish_reason": finish_reason,
                "usage": {"prompt_tokens": 1, "completion_tokens": 10**6},
                "token_ids": list(token_ids),
                **({"logprobs": logprobs[0]} if logprobs else {}),
            }
        )
        part.status, part.content_cid = AssignmentStatus.REVEALED, storage.put(content)
        part.save()
    return parts


def accuracies(task):
    rows = task.assignments.order_by("position").values_list("accuracy_bps", flat=True)
    return list(rows)


def test_who_agrees_gets_a_signed_verdict_and_the_client_gets_the_answer(
    validator, engine, router_redis
):
    task = make_task(redundancy=3)
    good, bad = honest(engine, task), honest(engine, task, "another prompt altogether")
    assert good[0] != bad[0]
    parts = revealed(task, [good, bad, good])
    validate(task.pk)
    task.refresh_from_db()
    assert task.status == TaskStatus.VALIDATED
    assert accuracies(task) == [10_000, 0, 10_000]
    assert task.validation.method == ValidationMethod.MAJORITY
    assert len(task.validation.distances) == 3

    operations = Operation.objects.filter(kind="relay_verdict")
    assert operations.get().payload["accuracies_bps"] == [10_000, 0, 10_000]
    stream = router_redis.xrange(f"task:{task.session_id}:{task.task_id}")
    (body,) = [json.loads(e["body"]) for _, e in stream if e["type"] == "results"]
    assert [row["text"] for row in body] == [good[0], good[0]]
    assert {row["address"].lower() for row in body} == {parts[0].miner, parts[2].miner}
    assert all(row["completion_tokens"] == len(good[1]) for row in body)
    assert all(0 < row["prompt_tokens"] <= task.max_input_tokens for row in body)


def test_a_task_is_judged_once(validator, engine):
    task = make_task(redundancy=1)
    revealed(task, [honest(engine, task)])
    validate(task.pk)
    validate(task.pk)
    assert Operation.objects.filter(kind="relay_verdict").count() == 1


def test_the_validators_own_run_decides_between_two(validator, engine):
    task = make_task(redundancy=2)
    good, bad = honest(engine, task), honest(engine, task, "another prompt altogether")
    revealed(task, [bad, good])
    validate(task.pk)
    assert accuracies(task) == [0, 10_000]
    assert task.validation.method == ValidationMethod.RERUN
    assert task.validation.reference == good[0]


@pytest.mark.parametrize(("share", "worth"), [(1.0, 0), (0.0, 10_000)])
def test_a_lonely_wrong_answer_is_found_where_it_is_audited(
    validator, engine, settings, share, worth
):
    settings.AUDIT_SHARE = share
    task = make_task(redundancy=1)
    revealed(task, [honest(engine, task, "another prompt altogether")])
    validate(task.pk)
    assert accuracies(task) == [worth]


@pytest.mark.parametrize(("seed", "worth"), [((7).to_bytes(8, "big"), 10_000), (b"", 0)])
def test_an_audit_draws_from_the_seed_that_the_client_chose(
    validator, engine, settings, seed, worth
):
    settings.AUDIT_SHARE = 1.0
    prompt = "Tell me about the hen."
    cid = storage.put(canonical_json({"prompt": prompt, "stop": [], "seed": 7}))
    stored = {"inline": False, "prompt_cid": cid, "task_data": storage.address(cid)}
    task = make_task(redundancy=1, temperature_x100=200, **stored)
    revealed(task, [honest(engine, task, prompt, seed=seed)])
    validate(task.pk)
    assert accuracies(task) == [worth]


@pytest.mark.parametrize(("keeps_min_p", "worth"), [(True, 10_000), (False, 0)])
def test_an_audit_draws_by_all_that_a_miners_job_says(
    validator, engine, settings, monkeypatch, keeps_min_p, worth
):
    settings.AUDIT_SHARE = 1.0
    options = GenerationOptions(logit_bias={70: 3.0, 71: -2.5}, seed=7, min_p=0.3)
    content = {"prompt": "Tell me about the hen.", "stop": [], **options.to_content()}
    cid = storage.put(canonical_json(content))
    stored = {"inline": False, "prompt_cid": cid, "task_data": storage.address(cid)}
    wanted = {"temperature_x100": 150, "presence_penalty_x100": 20, "frequency_penalty_x100": 10}
    task = make_task(redundancy=1, **stored, **wanted)
    jobs = []
    with monkeypatch.context() as patch:
        patch.setattr(mailbox, "send_infer", lambda _, job: jobs.append(job))
        lease(task, {0: make_miner()}, timezone.now(), live=0)
    [job] = jobs
    sampling = job.sampling if keeps_min_p else replace(job.sampling, min_p=0.0)
    tokens = engine.prompts.tokenise(job.prompt, job.prompt_form)
    request = GenerationRequest(
        tokens, job.max_tokens, sampling, seed=job.seed, deadline_at=time.time() + 30
    )
    made = engine.submit(request).result(30)
    same = make_task(redundancy=1, **stored, **wanted)
    revealed(same, [(made.text, made.token_ids, made.finish_reason.value)])
    validate(same.pk)
    assert accuracies(same) == [worth]


def test_about_the_audits_share_of_tasks_is_audited(settings):
    settings.AUDIT_SHARE = 0.1
    tasks = [make_task(redundancy=1) for _ in range(300)]
    assert 10 <= sum(is_audited(task) for task in tasks) <= 60


def test_an_answer_that_is_not_what_was_streamed_is_worth_nothing(validator, engine, router_redis):
    task = make_task(redundancy=3)
    good = honest(engine, task)
    parts = revealed(task, [good] * 3)
    router_redis.xadd(parts[0].stream_key, {"text": good[0]})
    router_redis.xadd(parts[0].stream_key, {"done": "1"})
    router_redis.xadd(parts[1].stream_key, {"text": "something else"})
    validate(task.pk)
    assert accuracies(task) == [10_000, 0, 10_000]
    assert "streamed" in task.validation.remarks[parts[1].miner]


def test_a_stream_that_nobody_can_read_in_bounds_is_worth_nothing(validator, engine, router_redis):
    task = make_task(redundancy=3)
    parts = revealed(task, [honest(engine, task)] * 3)
    with router_redis.pipeline(transaction=False) as pipeline:
        for _ in range(2 * task.max_tokens + MORE_ENTRIES + 1):
            pipeline.xadd(parts[0].stream_key, {"text": ""})
        pipeline.execute()
    router_redis.set(parts[1].stream_key, "no stream")
    validate(task.pk)
    assert accuracies(task) == [0, 0, 10_000]
    assert "entries" in task.validation.remarks[parts[0].miner]
    assert "another type of key" in task.validation.remarks[parts[1].miner]


def test_tokens_that_were_not_drawn_are_not_paid_for(validator, engine):
    task = make_task(redundancy=1)
    text, token_ids, reason = honest(engine, task)
    revealed(task, [(text, (*token_ids, 40, 41), reason)])
    validate(task.pk)
    assert accuracies(task) == [0]
    assert task.validation.method == ValidationMethod.NONE


def test_a_verdict_is_the_validators(validator, engine):
    task = make_task(redundancy=1)
    (part,) = revealed(task, [honest(engine, task)])
    validate(task.pk)
    payload = Operation.objects.get(kind="relay_verdict").payload
    part.refresh_from_db()
    verdict = Verdict(
        task.session_id,
        task.task_id,
        bytes.fromhex(task.task_digest[2:]),
        input_tokens=part.input_tokens,
        miners=(part.miner,),
        accuracies_bps=(10_000,),
        output_tokens=(part.output_tokens,),
    )
    signature = bytes.fromhex(payload["signature"].removeprefix("0x"))
    assert recover(verdict, SigningDomain(CHAIN_ID, QUEUE), signature) == validator.address


def test_miners_that_were_told_to_end_are_paid_up_to_there(validator, engine, router_redis):
    task = make_task(redundancy=3, max_tokens=32)
    whole = honest(engine, task)
    task.enough_characters = len(whole[0]) // 2
    task.save()
    cut = honest(engine, task)
    assert cut[2] == "cancelled"
    assert len(cut[1]) < len(whole[1])
    revealed(task, [cut, whole, cut])
    validate(task.pk)
    assert accuracies(task) == [10_000] * 3
    payload = Operation.objects.get(kind="relay_verdict").payload
    assert payload["output_tokens"] == [len(cut[1])] * 3
    task.refresh_from_db()
    assert task.answer_tokens == len(cut[1])
    stream = router_redis.xrange(f"task:{task.session_id}:{task.task_id}")
    (body,) = [json.loads(e["body"]) for _, e in stream if e["type"] == "results"]
    assert {(row["text"], row["finish_reason"]) for row in body} == {(cut[0], "cancelled")}


def test_a_lonely_answer_that_was_told_to_end_is_audited_up_to_there(validator, engine, settings):
    settings.AUDIT_SHARE = 1.0
    for prompt, worth in ((None, 10_000), ("another prompt altogether", 0)):
        task = make_task(redundancy=1, enough_characters=20)
        revealed(task, [honest(engine, task, prompt)])
        validate(task.pk)
        assert accuracies(task) == [worth]
        assert task.validation.method == ValidationMethod.AUDIT


def test_an_answer_that_ends_early_without_being_told_to_is_worth_nothing(validator, engine):
    task = make_task(redundancy=1)
    text, token_ids, _ = honest(engine, task)
    revealed(task, [(text, token_ids, "cancelled")])
    validate(task.pk)
    assert accuracies(task) == [0]
    [remark] = task.validation.remarks.values()
    assert "ends early" in remark


@pytest.mark.parametrize("redundancy", [1, 3])
def test_made_up_log_probabilities_are_worth_nothing(validator, engine, settings, redundancy):
    settings.AUDIT_SHARE = 1.0
    prompt = {"prompt": "What is 12 + 13?", "stop": [], "logprobs": 2}
    cid = storage.put(canonical_json(prompt))
    for lies in (False, True):
        task = make_task(
            redundancy=redundancy, inline=False, prompt_cid=cid, task_data=storage.address(cid)
        )
        good = honest(engine, task, prompt["prompt"], logprobs=2)
        made_up = [[f"{float(row[0]) - 3:.4f}", row[1]] for row in good[3]]
        first = (*good[:3], made_up if lies else good[3])
        revealed(task, [first, *[good] * (redundancy - 1)])
        validate(task.pk)
        assert accuracies(task) == [0 if lies else 10_000, *[10_000] * (redundancy - 1)]
    [remark] = task.validation.remarks.values()
    assert "logprobs" in remark
