"""The study of beam prediction on measured powers."""
