"""From a driving video to the landmarks that animate a head."""
