"""The validations of tasks."""

from django.db import models
from django.utils import timezone

from sessions.models import Task


class ValidationMethod(models.TextChoices):
    """How the answers were judged."""

    MAJORITY = "majority"
    RERUN = "rerun", "own run, since no majority agreed"
    AUDIT = "audit", "own run, by chance"
    NONE = "none", "no answer was fit to be judged"


class Validation(models.Model):
    """A task's validation.

    `distances[i][j]` is the cosine distance between the answers of `miners[i]` and `miners[j]`.
    """

    task = models.OneToOneField(Task, on_delete=models.CASCADE, related_name="validation")
    asked_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    method = models.CharField(
        max_length=8, choices=ValidationMethod.choices, blank=True, default=""
    )
    miners = models.JSONField(default=list, blank=True)
    distances = models.JSONField(default=list, blank=True)
    reference = models.TextField(
        blank=True, default="", help_text="what the validator's own run said"
    )
    remarks = models.JSONField(
        default=dict, blank=True, help_text="why a miner's answer is worth 0"
    )
    deaths = models.PositiveSmallIntegerField(
        default=0, help_text="how often the validator's process died while it judged this"
    )

    objects: models.Manager["Validation"] = models.Manager()

    def __str__(self) -> str:
        return f"validation of {self.task}"
