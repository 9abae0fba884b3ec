"""Images, video and sound in and out, and the mark of synthetic media."""
