"""Audio of any length: cut on the way in, transcribed piece by piece, joined."""
