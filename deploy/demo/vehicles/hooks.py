"""The project's own deliverers: the built-in ones, with a remark for every result."""

import requests

from doh.deliverers.base import HookDeliverer, HooksDeliverer
from doh.querysets import HookQuerySet
from vehicles.models import Remark


class Collection(HooksDeliverer):
    """Remarks how many hooks an event was for."""

    def after_deliver(self, hooks: HookQuerySet) -> None:
        """Every hook has had its first outcome."""
        Remark.objects.create(kind="collection", text=f"{hooks.count()} hooks")


class Element(HookDeliverer):
    """Remarks what a receiver answered."""

    def after_deliver(self, response: requests.Response) -> None:
        """A response came, and its outcome is written."""
        Remark.objects.create(kind="element", text=f"{response.status_code} from {response.url}")
