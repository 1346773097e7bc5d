"""Traces of many users: tiles, stores, workers, engines."""
