"""Serializers that describe the answers; `sessions.faces.rest.representations` makes these.

Amounts are decimal strings of wei, times are ISO 8601.
"""

from rest_framework import serializers

from sessions.models import OnChainStatus, TaskOrigin, TaskStatus


class About(serializers.Serializer):
    name = serializers.CharField()
    version = serializers.CharField()
    api = serializers.ListField(child=serializers.CharField())


class Defaults(serializers.Serializer):
    """A model's default sampling parameters."""

    max_tokens = serializers.IntegerField()
    temperature = serializers.FloatField()
    top_p = serializers.FloatField()
    top_k = serializers.IntegerField()
    presence_penalty = serializers.FloatField()
    frequency_penalty = serializers.FloatField()


class Model(serializers.Serializer):
    model_identifier = serializers.IntegerField()
    context_length = serializers.IntegerField()
    defaults = Defaults()
    input_price_wei = serializers.CharField()
    output_price_wei = serializers.CharField()


class Info(serializers.Serializer):
    name = serializers.CharField()
    version = serializers.CharField()
    address = serializers.CharField()
    miners_online = serializers.IntegerField()
    models = Model(many=True)


class Status(serializers.Serializer):
    status = serializers.ChoiceField(choices=["ok", "degraded"])
    components = serializers.DictField(child=serializers.BooleanField())


class Ping(serializers.Serializer):
    status = serializers.CharField()
    time = serializers.DateTimeField()


class Miner(serializers.Serializer):
    address = serializers.CharField()
    state = serializers.CharField()
    reputation = serializers.IntegerField()
    online = serializers.BooleanField()
    slots = serializers.IntegerField()
    in_flight = serializers.IntegerField()
    tokens_per_s = serializers.FloatField()
    models = serializers.ListField(child=serializers.JSONField())
    loaded = serializers.DictField(
        child=serializers.FloatField(),
        help_text="its models in memory, by identifier, with the tokens per second of each",
    )
    draining = serializers.BooleanField(help_text="it finishes its tasks and accepts no others")
    software = serializers.CharField()
    last_seen_at = serializers.DateTimeField(allow_null=True)
    active = serializers.BooleanField(help_text="the same as `online`")


class MinerStats(serializers.Serializer):
    total = serializers.IntegerField()
    active = serializers.IntegerField()
    slots = serializers.IntegerField(help_text="of those that are active")
    in_flight = serializers.IntegerField()


class Miners(serializers.Serializer):
    miners = Miner(many=True)
    nodes = Miner(many=True, help_text="the same as `miners`")
    stats = MinerStats(help_text="of all miners, whatever the filters")
    count = serializers.IntegerField()


class SessionRouter(serializers.Serializer):
    address = serializers.CharField()
    index = serializers.IntegerField()
    metadata = serializers.CharField()


class Session(serializers.Serializer):
    id = serializers.IntegerField(help_text="the same as `session_id`")
    session_id = serializers.IntegerField()
    sid = serializers.CharField(help_text="the session's identity, which survives a fork")
    owner = serializers.CharField()
    name = serializers.CharField()
    metadata = serializers.CharField()
    state = serializers.IntegerField(help_text="0 active, 1 inactive")
    active = serializers.BooleanField()
    mode = serializers.IntegerField(help_text="0 ephemeral, 1 dedicated, 2 hybrid")
    redundancy = serializers.IntegerField()
    min_num_of_nodes = serializers.IntegerField()
    max_num_of_nodes = serializers.IntegerField()
    num_of_validator_nodes = serializers.IntegerField()
    sla = serializers.CharField()
    model_identifier = serializers.IntegerField()
    reserve_period = serializers.IntegerField()
    max_task_execution_count = serializers.IntegerField()
    routers = SessionRouter(many=True)
    dedicated_nodes = serializers.ListField(
        child=serializers.CharField(), help_text="nodes that work for this session before others"
    )
    created_at = serializers.DateTimeField(allow_null=True)
    updated_at = serializers.DateTimeField(allow_null=True)
    balance_wei = serializers.CharField()
    deposited_wei = serializers.CharField()
    withdrawn_wei = serializers.CharField()
    reserved_wei = serializers.CharField()
    paid_wei = serializers.CharField()


class Sessions(serializers.Serializer):
    sessions = Session(many=True)
    count = serializers.IntegerField(help_text="on all pages")


class Outcome(serializers.Serializer):
    code = serializers.CharField()
    message = serializers.CharField(allow_blank=True)


class Stage(serializers.Serializer):
    status = serializers.ChoiceField(choices=[*TaskStatus.values, "first_token"])
    at = serializers.DateTimeField()


class Task(serializers.Serializer):
    session_id = serializers.IntegerField()
    task_id = serializers.IntegerField()
    task_digest = serializers.CharField()
    status = serializers.ChoiceField(choices=TaskStatus.values)
    outcome = Outcome(allow_null=True)
    stages = Stage(many=True)
    origin = serializers.ChoiceField(choices=TaskOrigin.values)
    client_reference = serializers.CharField()
    prompt_cid = serializers.CharField(allow_null=True)
    prompt_type = serializers.IntegerField()
    prompt_template = serializers.CharField()
    max_tokens = serializers.IntegerField()
    temperature = serializers.FloatField()
    top_p = serializers.FloatField()
    top_k = serializers.IntegerField()
    presence_penalty = serializers.FloatField()
    frequency_penalty = serializers.FloatField()
    stop = serializers.ListField(child=serializers.CharField())
    timeout = serializers.IntegerField(help_text="seconds")
    max_input_tokens = serializers.IntegerField()
    redundancy = serializers.IntegerField()
    model_identifier = serializers.IntegerField()
    reserve_wei = serializers.CharField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    request_id = serializers.CharField(allow_null=True)


class Tasks(serializers.Serializer):
    tasks = Task(many=True)
    next = serializers.IntegerField(allow_null=True, help_text="`before` of the next page")


class OnChain(serializers.Serializer):
    status = serializers.ChoiceField(choices=OnChainStatus.values)
    created_at = serializers.DateTimeField(allow_null=True)
    assigned_at = serializers.DateTimeField(allow_null=True)
    acked_at = serializers.DateTimeField(allow_null=True)
    precommit_ended_at = serializers.DateTimeField(allow_null=True)
    commit_ended_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    submit_tx = serializers.CharField(allow_null=True)
    assign_tx = serializers.CharField(allow_null=True)
    precommit_end_tx = serializers.CharField(allow_null=True)
    commit_end_tx = serializers.CharField(allow_null=True)
    end_tx = serializers.CharField(allow_null=True)
    reserved_wei = serializers.CharField()
    paid_wei = serializers.CharField()
    refunded_wei = serializers.CharField()


class MinerPart(serializers.Serializer):
    address = serializers.CharField()
    status = serializers.CharField()
    text = serializers.CharField(allow_null=True)
    ack = serializers.BooleanField()
    acked_at = serializers.DateTimeField(allow_null=True)
    precommit_at = serializers.DateTimeField(allow_null=True)
    commit_at = serializers.DateTimeField(allow_null=True)
    inference_sec = serializers.FloatField(allow_null=True)
    words = serializers.IntegerField(allow_null=True)
    tokens = serializers.IntegerField(allow_null=True)
    data_hash = serializers.CharField(allow_null=True)
    calculated_hash = serializers.CharField(allow_null=True)
    hash_verified = serializers.BooleanField(allow_null=True)
    finish_reason = serializers.CharField(allow_null=True)
    input_tokens = serializers.IntegerField(allow_null=True)
    accuracy_bps = serializers.IntegerField(allow_null=True)
    paid_wei = serializers.CharField()
    precommit_tx = serializers.CharField(allow_null=True)
    commit_tx = serializers.CharField(allow_null=True)
    failure = serializers.CharField(allow_null=True)


class Distance(serializers.Serializer):
    a = serializers.CharField()
    b = serializers.CharField()
    distance = serializers.FloatField()


class Results(serializers.Serializer):
    miners = serializers.ListField(child=serializers.CharField())
    data = serializers.ListField(  # type: ignore[assignment]
        child=serializers.CharField(), help_text="the miners' texts, in the order of `miners`"
    )


class TaskWithMiners(Task):
    assigned_miners = serializers.ListField(child=serializers.CharField())
    results = Results()
    on_chain = OnChain(allow_null=True)
    miners = MinerPart(many=True)
    distances = Distance(many=True)


class PublishedTask(Task):
    id = serializers.IntegerField(help_text="the same as `task_id`")
    status = serializers.IntegerField(  # type: ignore[assignment]
        min_value=0,
        max_value=5,
        help_text="0 queued, 1 assigned, 2 acked, 3 precommitted, 4 committed, 5 ended",
    )
    status_name = serializers.ChoiceField(choices=TaskStatus.values)
    ended = serializers.BooleanField()


class PublishedTasks(Tasks):
    tasks = PublishedTask(many=True)


class PublishedTaskWithMiners(PublishedTask, TaskWithMiners):
    pass
