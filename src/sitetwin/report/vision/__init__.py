"""The page of a vision study and its table for the terminal."""
