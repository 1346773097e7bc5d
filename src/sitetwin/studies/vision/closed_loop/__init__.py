"""The closed loop of the vision study: twins follow recorded drives through synthetic streets, and are judged."""
