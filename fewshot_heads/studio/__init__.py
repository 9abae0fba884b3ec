"""The studio: a page in the browser for animating, creating, fine-tuning and checking."""
