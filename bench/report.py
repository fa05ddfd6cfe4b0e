"""Prints the result of a benchmark: a table for people, then a line of JSON for machines."""

import json
import statistics
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

WIDTH = 160


def median_and_spread(values: Sequence[float]) -> str:
    """Format the median, with the minimum and the maximum."""
    return f"{statistics.median(values):.1f}  ({min(values):.1f} … {max(values):.1f})"


def publish(
    name: str, columns: Sequence[str], rows: Sequence[Sequence[str]], ratios: Mapping[str, float]
) -> None:
    """Print a table of the rows and, as the last line, `{"name", "ratios"}` as JSON."""
    table = Table(title=name)
    for column in columns:
        table.add_column(column, justify="left" if column == columns[0] else "right")
    for row in rows:
        table.add_row(*row)
    console = Console()
    if not console.is_terminal:  # rich assumes 80 columns for a file, and cuts the cells off
        console = Console(width=WIDTH)
    console.print(table)
    rounded = {key: round(value, 3) for key, value in ratios.items()}
    print(json.dumps({"name": name, "ratios": rounded}), flush=True)
