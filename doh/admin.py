"""The admin: hooks to work with, and the ledger to read."""

import json
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from doh.disclosure import show_secrets
from doh.exceptions import SecretUnreadableError
from doh.explain import where
from doh.journal import get_journal
from doh.letters import move_all
from doh.models import Attempt, Delivery, Event, Hook
from doh.querysets import DeliveryQuerySet, HookQuerySet
from doh.trial import send_trial
from doh.wire.signing import Scheme

if TYPE_CHECKING:
    _HookAdmin = admin.ModelAdmin[Hook]
    _HookForm = forms.ModelForm[Hook]
    _LedgerAdmin = admin.ModelAdmin[Any]
    _AttemptInline = admin.TabularInline[Attempt, Delivery]
else:
    _HookAdmin = _LedgerAdmin = admin.ModelAdmin
    _HookForm = forms.ModelForm
    _AttemptInline = admin.TabularInline


class StateFilter(admin.SimpleListFilter):
    """Hooks by whether they are sent to."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, *_args: Any) -> list[tuple[str, Any]]:
        """The states."""
        return [("enabled", _("enabled")), ("disabled", _("disabled")), ("expired", _("expired"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        """The hooks of a state."""
        expired = Q(expires_at__lte=timezone.now())
        match self.value():
            case "enabled":
                return queryset.filter(disabled_at=None).exclude(expired)
            case "disabled":
                return queryset.exclude(disabled_at=None)
            case "expired":
                return queryset.filter(expired)
        return queryset


class HookForm(_HookForm):
    """A hook, with a choice of how it signs; later, rotating changes that."""

    scheme = forms.ChoiceField(
        label=_("signature"),
        required=False,
        choices=[
            (Scheme.HMAC, _("v1: a secret shared with the receiver")),
            (Scheme.ED25519, _("v1a: ed25519, the receiver has a public key")),
        ],
    )


@admin.register(Hook)
class HookAdmin(_HookAdmin):
    """Register hooks, enable and disable them, try them out."""

    list_display = ("id", "listens_to", "action", "goes_to", "state", "user", "created_at")
    list_filter = (StateFilter, "action", ("content_type", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("user", "content_type")
    search_fields = ("target", "object_id", "=id")
    fields = (
        "user",
        "content_type",
        "object_id",
        "action",
        "target",
        "expires_at",
        "rate_limit",
        "retry_schedule",
        "signing",
        "created_at",
        "failing_since",
        "disabled_at",
        "disabled_reason",
        "deliveries",
    )
    readonly_fields = (
        "signing",
        "created_at",
        "failing_since",
        "disabled_at",
        "disabled_reason",
        "deliveries",
    )
    form = HookForm
    raw_id_fields = ("user",)
    actions = ("enable", "enable_and_redrive", "disable", "rotate_secret", "send_test_event")
    show_full_result_count = False

    @admin.display(description=_("object"))
    def listens_to(self, hook: Hook) -> str:
        """The model and the key."""
        return f"{hook.content_type.model} {hook.object_id if hook.object_id is not None else '*'}"

    @admin.display(description=_("target"), ordering="target")
    def goes_to(self, hook: Hook) -> str:
        """The target without user, password and query."""
        return where(hook.target)

    @admin.display(description=_("state"))
    def state(self, hook: Hook) -> str:
        """Whether it is sent to, and why not."""
        if hook.disabled_at is not None:
            return f"disabled: {hook.disabled_reason}" if hook.disabled_reason else "disabled"
        if not hook.is_enabled:
            return "expired"
        return "failing" if hook.failing_since is not None else "enabled"

    @admin.display(description=_("signed with"))
    def signing(self, hook: Hook) -> str:
        """Never the secret itself; a public key is no secret."""
        try:
            return hook.public_key or "whsec_••••••••"
        except SecretUnreadableError as error:
            return str(error)

    def get_queryset(self, request: HttpRequest) -> HookQuerySet:
        """Without what is encrypted: one secret that can't be read must not hide the others."""
        hooks: HookQuerySet = Hook.objects.all()
        ordering = self.get_ordering(request)
        return (hooks.order_by(*ordering) if ordering else hooks).defer(*Hook.ENCRYPTED)

    def get_fields(self, request: HttpRequest, obj: Hook | None = None) -> Any:
        """How it signs is chosen for a new hook, and shown of another."""
        fields = super().get_fields(request, obj)
        return [name if obj or name != "signing" else "scheme" for name in fields]

    def save_model(self, request: HttpRequest, obj: Hook, form: HookForm, change: bool) -> None:
        """A new hook signs as it was chosen."""
        if not change:
            obj.scheme = form.cleaned_data["scheme"] or Scheme.HMAC
        super().save_model(request, obj, form, change)

    @admin.display(description=_("deliveries"))
    def deliveries(self, hook: Hook) -> str:
        """Where to read what was sent to it."""
        return _list_of_deliveries("hook", hook.pk)

    def response_add(
        self,
        request: HttpRequest,
        obj: Hook,
        post_url_continue: str | None = None,  # noqa: ARG002 - the page links there
    ) -> HttpResponse:
        """Show the secret this once."""
        return show_secrets(self.admin_site, request, [obj], rotated=False)

    @admin.action(description=_("Rotate the secrets of selected hooks"), permissions=["change"])
    def rotate_secret(self, request: HttpRequest, queryset: HookQuerySet) -> HttpResponse:
        """Give each a new secret, and show it this once."""
        hooks = list(queryset.select_related("content_type"))
        for hook in hooks:
            hook.rotate_secret()
            self.log_change(request, hook, "Rotated the secret.")
        return show_secrets(self.admin_site, request, hooks, rotated=True)

    @admin.action(description=_("Enable selected hooks"), permissions=["change"])
    def enable(self, request: HttpRequest, queryset: HookQuerySet) -> None:
        """Send to them again, from the next event on."""
        _say(request, queryset.enable(), "%d hook is enabled.", "%d hooks are enabled.")

    @admin.action(
        description=_("Enable selected hooks and send what they missed"), permissions=["change"]
    )
    def enable_and_redrive(self, request: HttpRequest, queryset: HookQuerySet) -> None:
        """Send to them again, and what they missed since they failed or were disabled, too."""
        missed = [hook.enable(redrive=True) for hook in queryset.defer(*Hook.ENCRYPTED)]
        _say(request, len(missed), "%d hook is enabled.", "%d hooks are enabled.")
        _say(request, sum(missed), "%d delivery is sent again.", "%d deliveries are sent again.")

    @admin.action(description=_("Disable selected hooks"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: HookQuerySet) -> None:
        """Send nothing to them; what is still owed is cancelled."""
        reason = f"disabled in the admin by {request.user}"
        number = queryset.disable(reason, timezone.now())
        _say(request, number, "%d hook is disabled.", "%d hooks are disabled.")

    @admin.action(description=_("Send a test event to selected hooks"), permissions=["change"])
    def send_test_event(self, request: HttpRequest, queryset: HookQuerySet) -> None:
        """Deliver a ``test`` event to each of them alone."""
        hooks = list(queryset.enabled(timezone.now()).select_related("content_type"))
        for hook in hooks:
            send_trial(hook)
        _say(request, len(hooks), "%d test event is sent.", "%d test events are sent.")
        skipped = queryset.count() - len(hooks)
        if skipped:
            messages.warning(request, _("%d disabled or expired left out.") % skipped)


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
        return _list_of_deliveries("event", event.pk)


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
        return _link("event_change", delivery.event_id)

    @admin.display(description=_("hook"), ordering="hook_id")
    def to_hook(self, delivery: Delivery) -> str:
        """The hook's number, and the way to it."""
        return _link("hook_change", delivery.hook_id)

    @admin.display(description=_("answer"), ordering="status_code")
    def answer(self, delivery: Delivery) -> str:
        """What the receiver said last, or why it said nothing."""
        return delivery.detail or str(delivery.status_code or "")

    @admin.action(description=_("Redrive selected dead letters"), permissions=["change"])
    def redrive(self, request: HttpRequest, queryset: DeliveryQuerySet) -> None:
        """Send them again, with a whole schedule of attempts."""
        number = sum(move_all(get_journal().redrive, queryset))
        _say(request, number, "%d dead letter is sent again.", "%d dead letters are sent again.")

    @admin.action(description=_("Retry selected waiting deliveries now"), permissions=["change"])
    def retry_now(self, request: HttpRequest, queryset: DeliveryQuerySet) -> None:
        """Make their next attempt due at once."""
        number = sum(move_all(get_journal().retry_now, queryset))
        _say(request, number, "%d delivery is due now.", "%d deliveries are due now.")


def _link(view: str, key: int) -> str:
    """A number that leads to its row; the row may be gone by now."""
    return format_html('<a href="{}">{}</a>', reverse(f"admin:doh_{view}", args=[key]), key)


def _list_of_deliveries(field: str, key: int | None) -> str:
    if key is None:
        return ""
    url = reverse("admin:doh_delivery_changelist", query={f"{field}__id__exact": key})
    return format_html('<a href="{}">{}</a>', url, _("show"))


def _say(request: HttpRequest, number: int, one: str, many: str) -> None:
    level = messages.SUCCESS if number else messages.WARNING
    messages.add_message(request, level, ngettext(one, many, number) % number)
