"""A session's tasks are counted as they come, so that intake need not count them."""

from django.db import migrations, models


def count_tasks(apps, schema_editor):
    tasks = apps.get_model("cortensor_sessions", "OnChainTask").objects
    sessions = apps.get_model("cortensor_sessions", "Session").objects
    counts = tasks.order_by().values_list("session_id").annotate(count=models.Count("pk"))
    for session_id, count in counts:
        sessions.filter(pk=session_id).update(task_count=count)


class Migration(migrations.Migration):
    dependencies = [("cortensor_sessions", "0005_task_enough_characters")]

    operations = [
        migrations.AddField(
            model_name="session",
            name="task_count",
            field=models.BigIntegerField(default=0, help_text="tasks that were submitted"),
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(fields=["session_id", "ended_at"], name="task_ended_lately"),
        ),
        migrations.RunPython(count_tasks, migrations.RunPython.noop),
    ]
