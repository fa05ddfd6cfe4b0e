"""Prompt types have the published numbers; tasks from before keep their meaning under new ones.

What the chain says of those tasks, and their digests, is not touched.
"""

from django.db import migrations, models
from django.db.models import Case, F, Value, When

import sessions.models.fields

NEW_NUMBERS = {0: 128, 1: 0, 2: 129}
OLD_NUMBERS = {new: old for old, new in NEW_NUMBERS.items()} | {1: 1, 2: 1}


def renumber(numbers):
    def run(apps, schema_editor):
        rows = apps.get_model("cortensor_sessions", "Task").objects
        number = models.PositiveIntegerField()
        cases = [When(prompt_type=before, then=Value(after)) for before, after in numbers.items()]
        rows.update(prompt_type=Case(*cases, default=F("prompt_type"), output_field=number))

    return run


class Migration(migrations.Migration):
    dependencies = [("cortensor_sessions", "0007_payment")]

    operations = [
        migrations.AlterField(
            model_name="task",
            name="prompt_type",
            field=models.PositiveIntegerField(
                default=0, help_text="how a model reads the prompt, see PromptType"
            ),
        ),
        migrations.AlterField(
            model_name="onchaintask",
            name="prompt_type",
            field=sessions.models.fields.Uint256Field(default=0),
        ),
        migrations.RunPython(renumber(NEW_NUMBERS), renumber(OLD_NUMBERS)),
    ]
