"""A miner is chosen by what the task's grammar is bound to, which lies in its content."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("cortensor_sessions", "0011_task_prompt")]

    operations = [
        migrations.AddField(
            model_name="task",
            name="grammar_reader",
            field=models.CharField(
                blank=True,
                default="",
                help_text="the library and version that read its grammar, if it has one",
                max_length=100,
            ),
        ),
    ]
