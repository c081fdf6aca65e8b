"""Vehicles, which people want to hear of."""
