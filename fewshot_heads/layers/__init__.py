"""Separates portraits into head, body and background."""
