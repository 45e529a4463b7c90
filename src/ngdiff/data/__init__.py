"""Read forget and retain sets and turn them into tokens: rows, templates, labels, batches."""

from typing import TYPE_CHECKING

from ngdiff.lazy import make_lazy

if TYPE_CHECKING:
    from ngdiff.data.benchmarks import benchmark_sets
    from ngdiff.data.collate import AnswerCollator
    from ngdiff.data.encode import Encoded, encode, encode_rows, end_token_ids
    from ngdiff.data.image_arrays import images_from_arrays
    from ngdiff.data.image_sources import read_images
    from ngdiff.data.image_split import ImageSplit, split_images
    from ngdiff.data.images import ImageData, Images
    from ngdiff.data.named_images import NamedImages, read_named_images
    from ngdiff.data.overlap import check_encoded_overlap, check_overlap, rows_in_both
    from ngdiff.data.people import fictional_people, split_people, unseen_people, write_people
    from ngdiff.data.preparation import Preparation, preparation_of, read_preparation
    from ngdiff.data.rows import Row
    from ngdiff.data.sets import EvaluationSet
    from ngdiff.data.sources import read_rows
    from ngdiff.data.template import Template, resolve_template

__all__ = [
    "AnswerCollator",
    "Encoded",
    "EvaluationSet",
    "ImageData",
    "ImageSplit",
    "Images",
    "NamedImages",
    "Preparation",
    "Row",
    "Template",
    "benchmark_sets",
    "check_encoded_overlap",
    "check_overlap",
    "encode",
    "encode_rows",
    "end_token_ids",
    "fictional_people",
    "images_from_arrays",
    "preparation_of",
    "read_images",
    "read_named_images",
    "read_preparation",
    "read_rows",
    "resolve_template",
    "rows_in_both",
    "split_images",
    "split_people",
    "unseen_people",
    "write_people",
]

make_lazy(__name__)
