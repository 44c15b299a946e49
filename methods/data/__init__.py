"""Rated images: tables of opinions, datasets as they are distributed, their splits, folds and files."""

from methods.data.cells import TableError
from methods.data.datasets import LAYOUTS, DatasetError, detect, read_dataset
from methods.data.folds import FoldError
from methods.data.matching import find_images
from methods.data.pictures import RatedPicture, RatedPictures, direction_question, rescaled, usual_scale
from methods.data.splits import KADID_SPLIT, deal_folds, deal_parts, kadid_part
from methods.data.table import read_table

__all__ = ["KADID_SPLIT", "LAYOUTS", "DatasetError", "FoldError", "RatedPicture", "RatedPictures", "TableError",
           "deal_folds", "deal_parts", "detect", "direction_question", "find_images", "kadid_part", "read_dataset",
           "read_table", "rescaled", "usual_scale"]
