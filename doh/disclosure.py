"""The admin's page that shows new secrets: in the answer itself, so that nothing stores them."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from doh.models import Hook


def show_secrets(
    site: admin.AdminSite, request: HttpRequest, hooks: Sequence[Hook], *, rotated: bool
) -> TemplateResponse:
    """What receivers of these hooks verify with.

    No redirect: the messages framework would leave it in a session or a cookie.
    """
    context: dict[str, Any] = {
        **site.each_context(request),
        "title": _("Signing secrets"),
        "opts": Hook._meta,
        "hooks": hooks,
        "rotated": rotated,
    }
    return TemplateResponse(request, "admin/doh/hook/secrets.html", context)
