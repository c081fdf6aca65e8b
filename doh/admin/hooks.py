"""Hooks in the admin: register them, enable and disable them, try them out."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from doh.admin.parts import list_of_deliveries, say
from doh.disclosure import show_secrets
from doh.exceptions import SecretUnreadableError
from doh.explain import where
from doh.models import Hook
from doh.querysets import HookQuerySet
from doh.trial import send_trial
from doh.wire.signing import Scheme

if TYPE_CHECKING:
    _HookAdmin = admin.ModelAdmin[Hook]
    _HookForm = forms.ModelForm[Hook]
else:
    _HookAdmin = admin.ModelAdmin
    _HookForm = forms.ModelForm


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
        return list_of_deliveries("hook", hook.pk)

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
        say(request, queryset.enable(), "%d hook is enabled.", "%d hooks are enabled.")

    @admin.action(
        description=_("Enable selected hooks and send what they missed"), permissions=["change"]
    )
    def enable_and_redrive(self, request: HttpRequest, queryset: HookQuerySet) -> None:
        """Send to them again, and what they missed since they failed or were disabled, too."""
        missed = [hook.enable(redrive=True) for hook in queryset.defer(*Hook.ENCRYPTED)]
        say(request, len(missed), "%d hook is enabled.", "%d hooks are enabled.")
        say(request, sum(missed), "%d delivery is sent again.", "%d deliveries are sent again.")

    @admin.action(description=_("Disable selected hooks"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: HookQuerySet) -> None:
        """Send nothing to them; what is still owed is cancelled."""
        reason = f"disabled in the admin by {request.user}"
        number = queryset.disable(reason, timezone.now())
        say(request, number, "%d hook is disabled.", "%d hooks are disabled.")

    @admin.action(description=_("Send a test event to selected hooks"), permissions=["change"])
    def send_test_event(self, request: HttpRequest, queryset: HookQuerySet) -> None:
        """Deliver a ``test`` event to each of them alone."""
        hooks = list(queryset.enabled(timezone.now()).select_related("content_type"))
        for hook in hooks:
            send_trial(hook)
        say(request, len(hooks), "%d test event is sent.", "%d test events are sent.")
        skipped = queryset.count() - len(hooks)
        if skipped:
            messages.warning(request, _("%d disabled or expired left out.") % skipped)
