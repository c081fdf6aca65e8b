"""The version, and the name that POSTs go by."""

from typing import Final

VERSION: Final = "0.1.0"
USER_AGENT: Final = f"django-object-hooks/{VERSION}"
