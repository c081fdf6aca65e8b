"""Vehicles in the admin: save one and watch."""

from django.contrib import admin

from vehicles.models import Remark, Vehicle


@admin.register(Vehicle)
class VehicleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Saving one is an event."""

    list_display = ("name", "type", "speed")


@admin.register(Remark)
class RemarkAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """What ``after_deliver`` wrote."""

    list_display = ("kind", "text")
    list_filter = ("kind",)
