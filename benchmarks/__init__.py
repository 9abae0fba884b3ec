"""Measures quality, speed and fine-tuning. Not part of the wheel; README.md describes the protocols."""
