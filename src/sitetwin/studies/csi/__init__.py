"""The study of CSI feedback."""
