from django.db import migrations

import doh.indexes


class Migration(migrations.Migration):
    dependencies = [
        ("doh", "0010_events_end_in_place"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="event",
            name="doh_event_object",
        ),
        migrations.AddIndex(
            model_name="event",
            index=doh.indexes.NotNullIndex(
                fields=["label", "object_id", "id"], name="doh_event_object"
            ),
        ),
    ]
