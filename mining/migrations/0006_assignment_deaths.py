from django.db import migrations, models

TRIGGER = (
    "CREATE OR REPLACE TRIGGER cortensor_task_changed AFTER INSERT OR UPDATE OF {columns}"
    " ON mining_assignment FOR EACH ROW EXECUTE FUNCTION cortensor_task_changed('assignment')"
)
TOLD_BEFORE = "status, acked_at, announced_at"


class Migration(migrations.Migration):
    dependencies = [
        ("mining", "0005_task_changed"),
    ]

    operations = [
        migrations.AddField(
            model_name="assignment",
            name="deaths",
            field=models.PositiveSmallIntegerField(
                default=0, help_text="how often the miner's process died while it worked on this"
            ),
        ),
        migrations.AddField(
            model_name="assignment",
            name="alone",
            field=models.BooleanField(
                default=False,
                help_text="whether nothing else may run beside it: the task may kill nodes",
            ),
        ),
        # The oracle has to hear of a death.
        migrations.RunSQL(
            TRIGGER.format(columns=f"{TOLD_BEFORE}, deaths"), TRIGGER.format(columns=TOLD_BEFORE)
        ),
    ]
