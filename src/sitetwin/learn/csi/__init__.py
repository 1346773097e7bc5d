"""Codecs of CSI feedback."""
