"""URLs for a project to include: ``path("hooks/", include("doh.urls"))``."""

from django.urls import path

from doh import views

app_name = "doh"
urlpatterns = [
    path("health/", views.health, name="health"),
    path("health/deliveries/", views.deliveries, name="deliveries"),
]
