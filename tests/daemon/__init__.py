"""`rotator run`: a duty in this process, the file that is followed, and the program as a person runs it."""
