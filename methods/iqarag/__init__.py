"""IQARAG: an LMM scores a picture after seeing similar pictures whose opinion scores are known."""
