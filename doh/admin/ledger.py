"""Events and deliveries in the admin: to read, and to send again."""

import json
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from doh.admin.parts import link, list_of_deliveries, say
from doh.journal import get_journal
from doh.letters import move_all
from doh.models import Attempt, Delivery, Event
from doh.querysets import DeliveryQuerySet

if TYPE_CHECKING:
    _LedgerAdmin = admin.ModelAdmin[Any]
    _AttemptInline = admin.TabularInline[Attempt, Delivery]
else:
    _LedgerAdmin = admin.ModelAdmin
    _AttemptInline = admin.TabularInline


class ReadOnlyAdmin(_LedgerAdmin):
    """Rows that only the package writes."""

    show_full_result_count = False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, under a title that promises no changes."""
        title = capfirst(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Nobody adds to the ledger."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Seen, and not changed; a list must allow it for its actions."""
        return obj is None and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Nobody takes from the ledger but the pruning."""
        return False


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """What happened."""

    list_display = ("id", "label", "object_id", "action", "occurred_at", "pending", "finished_at")
    list_filter = ("action", "label", ("finished_at", admin.EmptyFieldListFilter))
    search_fields = ("=object_id", "=uid", "=id")
    ordering = ("-id",)
    fields = (
        "uid",
        "label",
        "object_id",
        "action",
        "occurred_at",
        "body",
        "error",
        "deliverer",
        "using",
        "due_at",
        "epoch",
        "fanned_at",
        "pending",
        "finished_at",
        "deliveries",
    )
    readonly_fields = ("body", "deliveries")

    @admin.display(description=_("payload"))
    def body(self, event: Event) -> str:
        """The payload, indented."""
        if event.payload is None:
            return str(_("rendered for each hook"))
        try:
            text = json.dumps(json.loads(event.payload), indent=2, ensure_ascii=False)
        except ValueError:
            text = event.payload
        return format_html("<pre>{}</pre>", text)

    @admin.display(description=_("deliveries"))
    def deliveries(self, event: Event) -> str:
        """Where to read what became of it, hook by hook."""
        return list_of_deliveries("event", event.pk)


class AttemptInline(_AttemptInline):
    """The POSTs that were not accepted."""

    model = Attempt
    fields = ("number", "at", "status_code", "detail", "elapsed")
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, *_args: Any) -> bool:
        """Nobody adds to the ledger."""
        return False


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """What became of it, hook by hook."""

    list_display = (
        "id",
        "of_event",
        "to_hook",
        "host",
        "status",
        "attempts",
        "answer",
        "due_at",
        "updated_at",
    )
    list_filter = ("status", "status_code")
    search_fields = ("=event__id", "=hook__id", "=event__object_id", "host")
    ordering = ("-id",)
    fields = (
        "event",
        "hook",
        "status",
        "attempts",
        "status_code",
        "detail",
        "host",
        "due_at",
        "updated_at",
    )
    inlines = (AttemptInline,)
    actions = ("redrive", "retry_now")

    @admin.display(description=_("event"), ordering="event_id")
    def of_event(self, delivery: Delivery) -> str:
        """The event's number, and the way to it."""
        return link("event_change", delivery.event_id)

    @admin.display(description=_("hook"), ordering="hook_id")
    def to_hook(self, delivery: Delivery) -> str:
        """The hook's number, and the way to it."""
        return link("hook_change", delivery.hook_id)

    @admin.display(description=_("answer"), ordering="status_code")
    def answer(self, delivery: Delivery) -> str:
        """What the receiver said last, or why it said nothing."""
        return delivery.detail or str(delivery.status_code or "")

    @admin.action(description=_("Redrive selected dead letters"), permissions=["change"])
    def redrive(self, request: HttpRequest, queryset: DeliveryQuerySet) -> None:
        """Send them again, with a whole schedule of attempts."""
        number = sum(move_all(get_journal().redrive, queryset))
        say(request, number, "%d dead letter is sent again.", "%d dead letters are sent again.")

    @admin.action(description=_("Retry selected waiting deliveries now"), permissions=["change"])
    def retry_now(self, request: HttpRequest, queryset: DeliveryQuerySet) -> None:
        """Make their next attempt due at once."""
        number = sum(move_all(get_journal().retry_now, queryset))
        say(request, number, "%d delivery is due now.", "%d deliveries are due now.")
