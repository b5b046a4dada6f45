"""What rotator is made of: the lock files, the bill of materials, the wheel, and what is known against any of it."""
