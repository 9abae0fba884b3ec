"""Renders frames from a head and landmarks."""
