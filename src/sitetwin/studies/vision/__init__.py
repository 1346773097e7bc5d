"""The study of the vision twin: what a camera, positions and a profile of angles say of beams."""
