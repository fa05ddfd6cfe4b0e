"""The Django application of everything that speaks EVM."""

from django.apps import AppConfig


class ChainConfig(AppConfig):
    name = "chain"
    label = "chain"
    verbose_name = "Cortensor chain"
