"""Command lines and configuration: the only room that knows hydra."""
