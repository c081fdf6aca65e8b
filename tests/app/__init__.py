"""A project's app, as users of the package have one."""
