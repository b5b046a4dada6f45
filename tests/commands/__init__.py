"""The commands as their users start them: the real program in a process of its own, on the emulated world."""
