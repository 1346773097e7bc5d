"""The study of calibrated power: what a map and a few measured rows are worth where nothing was measured."""
