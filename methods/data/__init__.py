"""Rated images: tables of opinions, datasets as they are distributed, their splits, folds and files."""

from methods.data.cells import TableError
from methods.data.datasets import LAYOUTS, DatasetError, detect, read_dataset
from methods.data.folds import FoldError
from methods.data.matching import find_images
from methods.data.pictures import RatedPicture, RatedPictures, direction_question, rescaled, usual_scale
from methods.data.splits import VISUALQUALITY_R1, deal_folds, deal_parts, visualquality_r1_part
from methods.data.table import read_table

__all__ = ["LAYOUTS", "VISUALQUALITY_R1", "DatasetError", "FoldError", "RatedPicture", "RatedPictures", "TableError",
           "deal_folds", "deal_parts", "detect", "direction_question", "find_images", "read_dataset", "read_table",
           "rescaled", "usual_scale", "visualquality_r1_part"]
