"""URL path converters: `<number:session_id>`."""

from django.urls import register_converter


class Number:
    """A whole number that fits the database's integer column."""

    regex = "[0-9]{1,18}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


register_converter(Number, "number")
