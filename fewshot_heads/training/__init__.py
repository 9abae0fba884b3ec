"""Meta-learning and fine-tuning."""
