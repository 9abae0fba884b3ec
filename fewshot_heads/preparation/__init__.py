"""Turns raw footage into a prepared data set: sources, shots, work units, shards."""
