"""The precoding study: what a channel twin is worth to a transmitter, judged by bit errors."""
