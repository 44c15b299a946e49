"""Methods that score the perceptual quality of an image with any large multimodal model."""

from methods.base import METHODS, Assessment, Evidence, Method, Options, Spread, load_method, method_names

__all__ = ["METHODS", "Assessment", "Evidence", "Method", "Options", "Spread", "load_method", "method_names"]
