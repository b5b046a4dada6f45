"""The soak: rotator for minutes under faults that a seed draws, with workers pulling throughout.

`make soak` runs `__main__.py`. `troubles.py` knows when something was wrong and judges each failed pull by that,
`hands.py` brings the faults about, `growth.py` looks for what grows, and `soaking.py` puts them together.
"""
