"""IQARAG: an LMM scores an image after seeing similar images whose opinion scores are known."""
