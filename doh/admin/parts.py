"""What several pages of the admin share: ways from row to row, and what an action has to say."""

from django.contrib import messages
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext


def link(view: str, key: int) -> str:
    """A number that leads to its row; the row may be gone by now."""
    return format_html('<a href="{}">{}</a>', reverse(f"admin:doh_{view}", args=[key]), key)


def list_of_deliveries(field: str, key: int | None) -> str:
    """The way to the deliveries of one event or hook."""
    if key is None:
        return ""
    url = reverse("admin:doh_delivery_changelist", query={f"{field}__id__exact": key})
    return format_html('<a href="{}">{}</a>', url, _("show"))


def say(request: HttpRequest, number: int, one: str, many: str) -> None:
    """Tell how many rows an action was for."""
    level = messages.SUCCESS if number else messages.WARNING
    messages.add_message(request, level, ngettext(one, many, number) % number)
