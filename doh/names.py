"""Names of the Celery tasks that web processes ring for: they import no worker code."""

from typing import Final

COLLECT: Final = "doh_tasks.collection.collect"
DELIVER_BATCH: Final = "doh_tasks.element.deliver_batch"
POST_ONCE: Final = "doh_tasks.element.post_once"
SWEEP: Final = "doh_tasks.maintenance.sweep"
