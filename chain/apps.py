"""The Django application of the `chain` package."""

from django.apps import AppConfig


class ChainConfig(AppConfig):
    name = "chain"
    label = "chain"
    verbose_name = "Cortensor chain"
