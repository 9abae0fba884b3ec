"""Analyses sound and animates heads with it."""
