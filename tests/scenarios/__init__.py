"""The whole pass, end to end, on the emulated cluster and clouds."""
