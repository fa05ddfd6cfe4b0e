"""The database tells the oracle which tasks have changed, whoever has changed them.

A notice has the task's key, or its session and task numbers ("3/12"). While the mirror is rebuilt
(`cortensor.rebuilding`) there is one empty notice for all.
"""

from django.db import migrations, models

TELL = """
CREATE FUNCTION cortensor_task_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    word text;
BEGIN
    IF current_setting('cortensor.rebuilding', true) = 'on' THEN
        word := '';
    ELSIF TG_ARGV[0] = 'task' THEN
        word := NEW.id::text;
    ELSIF TG_ARGV[0] = 'assignment' THEN
        word := NEW.task_id::text;
    ELSE
        word := NEW.session_id::text || '/' || NEW.task_id::text;
    END IF;
    PERFORM pg_notify('task_changed', word);
    RETURN NULL;
END
$$
"""
TABLES = {
    "cortensor_sessions_task": ("task", "INSERT OR UPDATE OF status"),
    "cortensor_sessions_onchaintask": ("numbers", "INSERT OR UPDATE"),
    "mining_minerresult": ("numbers", "INSERT OR UPDATE"),
    "mining_assignment": (
        "assignment",
        "INSERT OR UPDATE OF status, acked_at, announced_at",
    ),
}


def _trigger(table: str, kind: str, events: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"CREATE TRIGGER cortensor_task_changed AFTER {events} ON {table}"
        f" FOR EACH ROW EXECUTE FUNCTION cortensor_task_changed('{kind}')",
        f"DROP TRIGGER cortensor_task_changed ON {table}",
    )


class Migration(migrations.Migration):
    dependencies = [
        ("mining", "0004_network_tasks"),
        ("cortensor_sessions", "0007_payment"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="assignment",
            index=models.Index(
                condition=models.Q(("status__in", ["leased", "acked", "precommitted", "revealed"])),
                fields=["task"],
                name="assignment_undecided",
            ),
        ),
        migrations.RunSQL(TELL, "DROP FUNCTION cortensor_task_changed()"),
        *(_trigger(table, *told) for table, told in TABLES.items()),
    ]
