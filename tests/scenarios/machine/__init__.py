"""What the state machines stand on: a scene to play in, other people's hands, mishaps, and an oracle that judges."""
