"""Everything that touches HTTP; it knows no Django, settings arrive as arguments."""
