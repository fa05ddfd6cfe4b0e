"""ORM queries that are compiled to SQL once per process, for the steps that every task takes.

The ORM takes longer to compile such a query than PostgreSQL takes to answer it. The SQL of the
first call is used for all further calls, and only the parameters change.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar, cast

from django.db import connection
from django.db.models import Aggregate, Expression, Field, Model, QuerySet, Value
from django.db.transaction import TransactionManagementError

M = TypeVar("M", bound=Model)


def totals(rows: "QuerySet[M, Any]", **sums: Aggregate) -> "QuerySet[M, Any]":
    """Return a query of one row, with aggregates over all rows of another query.

    It is the query of `QuerySet.aggregate`, which cannot be prepared because it runs at once.
    """
    whole = rows.order_by().annotate(whole=Value(1)).values("whole").annotate(**sums)
    return cast("QuerySet[M, Any]", whole.values_list(*sums))


@dataclass(frozen=True)
class _Slot:
    name: str


@dataclass(frozen=True)
class _Column:
    """A field's name, and the converters that turn PostgreSQL's values into the field's values."""

    name: str
    expression: Any
    converters: Sequence[Callable[[Any, Any, Any], Any]]

    def read(self, value: Any) -> Any:
        for convert in self.converters:
            value = convert(value, self.expression, connection)
        return value


class Parameter(Expression):
    """A named placeholder in a prepared query. Its value is given when the query runs.

    The value is passed to PostgreSQL unchanged. The caller does the conversion that the field would
    otherwise do.
    """

    def __init__(self, name: str, output_field: "Field[Any, Any]") -> None:
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        return "%s", (_Slot(self.name),)


class Prepared(Generic[M]):
    """A query that runs often.

    Args:
        write: returns the query, with a `Parameter` for each value that changes. It is called once.
    """

    def __init__(self, write: Callable[[], "QuerySet[M, Any]"]) -> None:
        self._write = write

    def first(self, **values: object) -> M | None:
        """Return the first object, or None. The query must select whole objects.

        Raises:
            TransactionManagementError: the query locks rows, but runs outside of a transaction.
        """
        # Django makes this check when it compiles a query, which happens only once here.
        if self._query.query.select_for_update and connection.get_autocommit():
            raise TransactionManagementError("select_for_update outside of a transaction")
        rows = self.rows(**values)
        if not rows:
            return None
        columns = self._columns
        found = [column.read(value) for column, value in zip(columns, rows[0], strict=True)]
        return self._query.model.from_db(connection.alias, [each.name for each in columns], found)

    def rows(self, **values: object) -> list[tuple[Any, ...]]:
        """Return the rows with the values that psycopg gives: a `Uint256Field` is a Decimal."""
        sql, given = self._asked(values)
        with connection.cursor() as cursor:
            cursor.execute(sql, given)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows

    def _asked(self, values: Mapping[str, object]) -> tuple[str, list[Any]]:
        sql, parameters = self._statement
        return sql, [values[one.name] if isinstance(one, _Slot) else one for one in parameters]

    @cached_property
    def _columns(self) -> list[_Column]:
        """The columns of a query of whole objects."""
        compiler = self._query.query.get_compiler(connection.alias)
        compiler.setup_query()
        expressions = [expression for expression, *_ in compiler.select]
        converters = compiler.get_converters(expressions)
        return [
            _Column(expression.target.attname, expression, converters.get(number, ((),))[0])
            for number, expression in enumerate(expressions)
        ]

    @cached_property
    def _query(self) -> "QuerySet[M, Any]":
        return self._write()

    @cached_property
    def _statement(self) -> tuple[str, tuple[object, ...]]:
        return self._query.query.sql_with_params()
