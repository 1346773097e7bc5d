"""Networks with published weights, and what turns their outputs into boxes and lines."""
