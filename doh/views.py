"""Health checks: for load balancers, and for whoever watches the deliveries."""

from dataclasses import asdict
from typing import Any

from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from doh.journal import get_journal
from doh.status import Level, Limits, judge, read_detail, read_vitals, worst

_TEXT = "text/plain"


@require_safe
@never_cache
@transaction.non_atomic_requests
def health(_request: HttpRequest) -> HttpResponse:
    """For a load balancer: 200 while this process reaches the ledger, else 503.

    It says nothing about the deliveries: web hosts must not be taken out for a slow receiver.
    """
    try:
        get_journal().last_beat()
    except DatabaseError:
        return HttpResponse("unavailable\n", content_type=_TEXT, status=503)
    return HttpResponse("ok\n", content_type=_TEXT)


@require_safe
@never_cache
@transaction.non_atomic_requests
def deliveries(request: HttpRequest, details: bool = False) -> HttpResponse:
    """For monitoring: 200 while deliveries move, 503 if they don't.

    Whoever may view deliveries in the admin gets the figures as JSON, and everybody does where the
    URL configuration passes ``details``; all others get one word.
    """
    try:
        journal = get_journal()
        vitals = read_vitals(journal)
        findings = judge(vitals, Limits())
        level = worst(findings)
        status = 503 if level is Level.CRITICAL else 200
        if not details and not _may_look(request):
            return HttpResponse(f"{level.name.lower()}\n", content_type=_TEXT, status=status)
        found = {
            "level": level.name.lower(),
            "findings": [one.text for one in findings],
            "vitals": asdict(vitals),
            "detail": asdict(read_detail(journal)),
        }
    except DatabaseError:
        return HttpResponse("unavailable\n", content_type=_TEXT, status=503)
    return JsonResponse(found, status=status)


def _may_look(request: HttpRequest) -> bool:
    """A user model of the project's own may know no staff."""
    user: Any = getattr(request, "user", None)
    return bool(getattr(user, "is_staff", False)) and user.has_perm("doh.view_delivery")
