"""The study of fidelity: how true a twin must be for CSI feedback."""
