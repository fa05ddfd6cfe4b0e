"""The admin's view of mining: to read, since processes and the chain write it."""

from typing import Any

from django.contrib import admin

from mining.models import Assignment, MinerPresence, MinerResult, Node, Validation


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that nobody changes by hand."""

    def has_add_permission(self, *_: Any, **__: Any) -> bool:
        return False

    def has_change_permission(self, *_: Any, **__: Any) -> bool:
        return False

    def has_delete_permission(self, *_: Any, **__: Any) -> bool:
        return False


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
        *("address", "last_seen_at", "slots", "in_flight", "tokens_per_s", "draining", "software")
    ]
    search_fields = ["address"]


@admin.register(MinerResult)
class MinerResultAdmin(ReadOnlyAdmin):
    list_display = ["session_id", "task_id", "miner", "accuracy_bps", "paid_wei", "replaced_at"]
    search_fields = ["miner"]


@admin.register(Validation)
class ValidationAdmin(ReadOnlyAdmin):
    list_display = ["task", "method", "asked_at", "finished_at"]
    list_select_related = ["task"]
