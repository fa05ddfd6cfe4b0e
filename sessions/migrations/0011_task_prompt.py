"""A prompt is found by its address."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("cortensor_sessions", "0010_direct_submission")]

    operations = [
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                fields=["prompt_cid"], condition=~models.Q(prompt_cid=""), name="task_prompt"
            ),
        ),
    ]
