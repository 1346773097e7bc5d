"""Codecs in use over time: errors that users report, a test for changes, uploads, updates, and reports that age."""
