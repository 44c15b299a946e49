"""IQARAG: an LMM scores an image after seeing similar images whose MOS is known."""
