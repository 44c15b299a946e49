"""Rated pictures: tables of opinions, datasets as they are distributed, their splits, folds and files."""
