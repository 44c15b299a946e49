"""Images spoilt on purpose: KADID-10k's 25 distortion types at 5 levels, with the MOS of each.

Training, tests and teaching material all need images whose damage is known. `distortions.distort` makes them and
`distortions.level_mos` says how people rated that type and level on average.
"""
