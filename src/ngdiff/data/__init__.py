"""Read forget and retain sets and turn them into tokens: rows, templates, labels, batches."""

from ngdiff.data.benchmarks import benchmark_sets
from ngdiff.data.collate import AnswerCollator
from ngdiff.data.encode import Encoded, encode, encode_rows, end_token_ids
from ngdiff.data.overlap import check_overlap
from ngdiff.data.people import fictional_people, split_people, write_people
from ngdiff.data.rows import Row
from ngdiff.data.sets import EvaluationSet
from ngdiff.data.sources import read_rows
from ngdiff.data.template import Template, resolve_template

__all__ = [
    "AnswerCollator",
    "Encoded",
    "EvaluationSet",
    "Row",
    "Template",
    "benchmark_sets",
    "check_overlap",
    "encode",
    "encode_rows",
    "end_token_ids",
    "fictional_people",
    "read_rows",
    "resolve_template",
    "split_people",
    "write_people",
]
