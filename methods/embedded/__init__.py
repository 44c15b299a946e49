"""How the assets that ship are made: the embedded LMM, the embedded student, the reference set."""
