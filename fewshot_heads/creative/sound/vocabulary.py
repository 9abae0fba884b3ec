"""Words of `react.SIGNAL=TARGET:AMOUNT` with their help: what a sound has, and what a face does."""

SIGNALS = {
    "bass": "loudness of the low band",
    "vocal": "loudness of the band of voices",
    "rms": "loudness of everything",
    "centroid": "brightness: where the spectrum has its centre",
    "onset": "a pulse at each of the strongest beginnings of notes",
    "chroma": "how far the harmony has gone from the recording's home, slowly",
}
TARGETS = {
    "expression": "gain of all the face does (play, mouth, brows), 1 as far as people usually go",
    "mouth": "opens, 1 wide, at an expression of 1",
    "brows": "rise, 1 high, at an expression of 1",
    "blink": "the eyes close, 1 wholly",
    "nod": "the head goes down, 1 by 10 degrees",
    "turn": "the face goes to the viewer's right, 1 by 10 degrees",
    "tilt": "the head leans to the viewer's right, 1 by 10 degrees",
    "identity": "becomes somebody else, see `target_identity`, 1 wholly",
}
