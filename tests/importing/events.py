"""The setting of django-rest-hooks, before and after the move."""

HOOK_EVENTS = {
    "vehicle.added": "app.Vehicle.created+",
    "vehicle.changed": "app.Vehicle.updated+",
    "vehicle.crashed": "app.Vehicle.crashed+",
    "depot.gone": "app.Depot.deleted",
    "lost.changed": "lost.Thing.updated+",
    "user.logged_in": None,
}
