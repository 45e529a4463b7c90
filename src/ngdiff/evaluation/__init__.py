"""Evaluation: predict once (model and rows to records), score often (records to metrics)."""

from typing import TYPE_CHECKING

from ngdiff.lazy import make_lazy

if TYPE_CHECKING:
    from ngdiff.evaluation.evaluate import EvaluationResult, evaluate
    from ngdiff.evaluation.generation import generate_answers
    from ngdiff.evaluation.likelihood import TokenScores, token_nll, token_scores
    from ngdiff.evaluation.predict import predict
    from ngdiff.evaluation.records import Likelihood, Record
    from ngdiff.evaluation.write import write_evaluation
    from ngdiff.scoring.table import format_comparison, format_table

__all__ = [
    "EvaluationResult",
    "Likelihood",
    "Record",
    "TokenScores",
    "evaluate",
    "format_comparison",
    "format_table",
    "generate_answers",
    "predict",
    "token_nll",
    "token_scores",
    "write_evaluation",
]

make_lazy(__name__)
