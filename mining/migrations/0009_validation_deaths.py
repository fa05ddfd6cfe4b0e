from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("mining", "0008_assignment_content"),
    ]

    operations = [
        migrations.AddField(
            model_name="validation",
            name="deaths",
            field=models.PositiveSmallIntegerField(
                default=0, help_text="how often the validator's process died while it judged this"
            ),
        ),
    ]
