"""From a head and landmarks to frames."""
