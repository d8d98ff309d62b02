"""Trains, exports and measures the two small judges: of attacks, and of question pairs."""
