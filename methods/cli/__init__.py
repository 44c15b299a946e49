"""The parts of `python -m methods`: a method's options as flags, scoring many files, and the list."""
