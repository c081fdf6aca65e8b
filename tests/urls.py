"""URLs of the project that the tests run in."""

from django.contrib import admin
from django.urls import include, path

from doh import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("hooks/", include("doh.urls")),
    path("open/", views.deliveries, {"details": True}),
]
