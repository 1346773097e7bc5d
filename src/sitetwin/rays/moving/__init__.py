"""Things that move: users on trajectories, recorded drives, and objects in the way of waves."""
