"""A result is found by its address."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mining", "0007_suspension")]

    operations = [
        migrations.AddIndex(
            model_name="assignment",
            index=models.Index(
                fields=["content_cid"],
                condition=~models.Q(content_cid=""),
                name="assignment_content",
            ),
        ),
    ]
