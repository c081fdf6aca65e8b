"""The admin: hooks to work with, and the ledger to read."""

from doh.admin.hooks import HookAdmin
from doh.admin.ledger import DeliveryAdmin, EventAdmin

__all__ = ["DeliveryAdmin", "EventAdmin", "HookAdmin"]
