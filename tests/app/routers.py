"""A second database for one model."""

from typing import Any


class OtherRouter:
    """Sends `Remote` to the database ``other``."""

    def db_for_read(self, model: Any, **_: Any) -> str | None:
        return "other" if model._meta.object_name == "Remote" else None

    db_for_write = db_for_read

    def allow_migrate(
        self, db: str, app_label: str, model_name: str | None = None, **_: Any
    ) -> bool:
        return (db == "other") == (model_name == "remote")
