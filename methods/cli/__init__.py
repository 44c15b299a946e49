"""The parts of the command: how it runs, shared arguments, a method's options as flags, scoring, the list, progress."""
