"""Motion of a driving video: tracked, smoothed and retargeted landmarks, and mouth crops."""
