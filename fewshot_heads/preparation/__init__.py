"""From footage to a prepared data set."""
