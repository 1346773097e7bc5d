"""Line of sight, reflections and transmissions."""
