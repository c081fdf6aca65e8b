"""Names of the Celery tasks that are rung for: web processes, too, which import no worker code."""

from typing import Final

COLLECT: Final = "doh_tasks.collection.collect"
DELIVER_BATCH: Final = "doh_tasks.element.deliver_batch"
FINISH: Final = "doh_tasks.results.finish"
POST_ONCE: Final = "doh_tasks.element.post_once"
SWEEP: Final = "doh_tasks.maintenance.sweep"
