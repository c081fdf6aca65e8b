"""Take over the hooks of other packages: read from their tables, written as hooks of our own."""

from doh.importing.foreign import Foreign, Skipped
from doh.importing.write import Tally, take_over

__all__ = ["Foreign", "Skipped", "Tally", "take_over"]
