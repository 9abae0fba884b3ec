"""A statistical model of appearance."""
