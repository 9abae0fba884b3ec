"""Artists' modes: operations on heads and their landmarks."""
