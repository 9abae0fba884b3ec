"""Blended, morphed and sampled identities."""
