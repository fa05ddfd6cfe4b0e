"""The admin of the `mining` app. It is read-only, since processes and the chain write the rows."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from chain.models import Fault
from mining.assignment.mailbox_quota import let_in_again
from mining.models import (
    Assignment,
    MinerPresence,
    MinerResult,
    NetworkAsk,
    NetworkCredit,
    NetworkEpoch,
    NetworkJudgement,
    NetworkNode,
    NetworkTask,
    Node,
    Validation,
)
from sessions.admin import ReadOnlyAdmin


@admin.register(Assignment)
class AssignmentAdmin(ReadOnlyAdmin):
    list_display = ["id", "task", "miner", "position", "status", "leased_at", "accuracy_bps"]
    list_filter = ["status"]
    list_select_related = ["task"]
    search_fields = ["miner"]


@admin.register(Node)
class NodeAdmin(ReadOnlyAdmin):
    list_display = ["address", "state", "reputation", "earned_wei", "withdrawn_wei"]
    list_filter = ["state"]
    search_fields = ["address"]


@admin.register(MinerPresence)
class MinerPresenceAdmin(ReadOnlyAdmin):
    list_display = [
        "address",
        "last_seen_at",
        "slots",
        "in_flight",
        "tokens_per_s",
        "draining",
        "software",
        "suspended_at",
        "suspended_for",
    ]
    list_filter = [("suspended_at", admin.EmptyFieldListFilter)]
    search_fields = ["address"]
    actions = ["let_in_again"]

    @admin.action(description="Admit suspended miners again", permissions=["suspend"])
    def let_in_again(self, request: HttpRequest, rows: "QuerySet[MinerPresence]") -> None:
        count = let_in_again(list(rows.values_list("pk", flat=True)))
        self.message_user(request, f"{count} miners may enrol again")

    def has_suspend_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("mining.change_minerpresence")


@admin.register(MinerResult)
class MinerResultAdmin(ReadOnlyAdmin):
    list_display = ["session_id", "task_id", "miner", "accuracy_bps", "paid_wei", "replaced_at"]
    search_fields = ["miner"]


@admin.register(Validation)
class ValidationAdmin(ReadOnlyAdmin):
    list_display = ["task", "method", "deaths", "asked_at", "finished_at"]
    list_select_related = ["task"]


@admin.register(NetworkTask)
class NetworkTaskAdmin(ReadOnlyAdmin):
    list_display = ["number", "state", "creator", "accuracies_bps", "created_at", "ended_at"]
    list_filter = ["state"]


@admin.register(NetworkNode)
class NetworkNodeAdmin(ReadOnlyAdmin):
    list_display = ["address", "pinged_at", "right_answers", "wrong_answers", "missed_parts"]
    search_fields = ["address"]


@admin.register(NetworkEpoch)
class NetworkEpochAdmin(ReadOnlyAdmin):
    list_display = ["number", "budget_wei", "points", "paid_wei", "released_wei", "opened_at"]


@admin.register(NetworkCredit)
class NetworkCreditAdmin(ReadOnlyAdmin):
    list_display = ["epoch", "node", "points", "paid_wei", "paid_at"]
    search_fields = ["node"]


@admin.register(NetworkAsk)
class NetworkAskAdmin(ReadOnlyAdmin):
    list_display = ["node", "stage", "number", "asked_at", "answered_at", "declined"]
    list_filter = ["stage"]
    search_fields = ["node"]


@admin.register(NetworkJudgement)
class NetworkJudgementAdmin(ReadOnlyAdmin):
    list_display = ["number", "domain", "subdomain", "prompt", "method", "judged_at"]


@admin.register(Fault)
class FaultAdmin(ReadOnlyAdmin):
    list_display = ["process", "item", "error", "place", "count", "first_at", "last_at"]
    list_filter = ["process", "error"]
    search_fields = ["item"]
