"""Creative modes: morph, portrait, sample and audio."""
