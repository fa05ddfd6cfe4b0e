"""A client_reference is a label; what names a request is a column of its own."""

from django.db import migrations, models
from django.db.models import F, Q


def copy_references(apps, schema_editor):
    """What was sent under a reference may still be asked for again under it."""
    rows = apps.get_model("cortensor_sessions", "Task").objects
    rows.filter(origin="rest").update(idempotency_key=F("client_reference"))


class Migration(migrations.Migration):
    dependencies = [("cortensor_sessions", "0008_prompt_types")]

    operations = [
        migrations.AddField(
            model_name="task",
            name="idempotency_key",
            field=models.TextField(
                blank=True, default="", help_text="the client's name for this request alone"
            ),
        ),
        migrations.AlterField(
            model_name="task",
            name="client_reference",
            field=models.TextField(
                blank=True, default="", help_text="the client's label; others may have the same"
            ),
        ),
        migrations.RemoveConstraint(model_name="task", name="task_client_reference"),
        migrations.RunPython(copy_references, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="task",
            constraint=models.UniqueConstraint(
                fields=["session_id", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="task_idempotency_key",
            ),
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                fields=["session_id", "client_reference"],
                condition=~Q(client_reference=""),
                name="task_labelled",
            ),
        ),
    ]
