from typing import Any

from django.db import migrations

#: Percent of a page that new events may fill: their later versions take the rest.
FILL = 70


def leave_room(apps: Any, schema_editor: Any) -> None:
    """New pages of the events are not filled up; those there are stay as they are."""
    _set(apps, schema_editor, f"SET (fillfactor = {FILL})")


def fill_up(apps: Any, schema_editor: Any) -> None:
    """As it was."""
    _set(apps, schema_editor, "RESET (fillfactor)")


def _set(apps: Any, schema_editor: Any, option: str) -> None:
    if schema_editor.connection.vendor == "postgresql":
        table = schema_editor.quote_name(apps.get_model("doh", "Event")._meta.db_table)
        schema_editor.execute(f"ALTER TABLE {table} {option}")


class Migration(migrations.Migration):
    dependencies = [
        ("doh", "0009_hooks_with_fewer_indexes"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="event",
            name="doh_event_finished",
        ),
        migrations.RunPython(leave_room, fill_up, hints={"model_name": "event"}),
    ]
