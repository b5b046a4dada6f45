"""The soak: rotator for minutes under faults that a seed draws, with workers pulling throughout.

`make soak` runs `__main__.py`. `grounds.py` is where it happens, `hands.py` brings the faults about, `troubles.py`
knows when something was wrong and judges each failed pull by that, `audit.py` looks at each Secret and counts renewals,
`growth.py` looks for what grows, and `soaking.py` puts them together.
"""
