"""A statistical model of faces."""
