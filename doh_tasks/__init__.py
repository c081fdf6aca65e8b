"""The Celery tasks that collect events, deliver batches and keep the ledger moving."""
