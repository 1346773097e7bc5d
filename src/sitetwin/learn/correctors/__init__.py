"""Correctors of a twin's channels, learnt from users whose channels were measured."""
