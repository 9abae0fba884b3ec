"""Quality and speed, measured the same way every time; see README.md for the method."""
