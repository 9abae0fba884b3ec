"""Command lines and configuration; the only room that imports hydra."""
