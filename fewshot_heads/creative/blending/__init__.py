"""Blends, morphs, samples and retrieves identities."""
