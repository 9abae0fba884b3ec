"""Sound that animates a head."""
