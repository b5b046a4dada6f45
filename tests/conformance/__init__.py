"""One suite for every back-end of a kind."""
