"""The micro model and data of the end-to-end tests, to be harmed."""

from ..end_to_end.conftest import copy_of, material, whole

__all__ = ["copy_of", "material", "whole"]
