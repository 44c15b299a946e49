"""Methods that score the perceptual quality of a picture with any large multimodal model."""

from methods.base import METHODS, Assessment, Evidence, Method, Options, load_method

__all__ = ["METHODS", "Assessment", "Evidence", "Method", "Options", "load_method"]
