"""Scoring: records and `metrics.json` in, numbers and tables out. Reads files, needs no model and no torch."""

from typing import TYPE_CHECKING

from ngdiff.lazy import make_lazy

if TYPE_CHECKING:
    from ngdiff.scoring.audits import read_robustness
    from ngdiff.scoring.compare import Comparison, compare
    from ngdiff.scoring.distance_notes import distance_notes
    from ngdiff.scoring.formats import FORMATS
    from ngdiff.scoring.groups import compare_groups
    from ngdiff.scoring.over_forgotten import over_forgotten, over_forgotten_notes
    from ngdiff.scoring.records import read_records, read_sets, record_files
    from ngdiff.scoring.reference_notes import reference_notes
    from ngdiff.scoring.runs import files_of, read_metrics, read_runs, references_in
    from ngdiff.scoring.sequence import sequences
    from ngdiff.scoring.sweeps import read_sweep
    from ngdiff.scoring.table import format_comparison, format_table

__all__ = [
    "FORMATS",
    "Comparison",
    "compare",
    "compare_groups",
    "distance_notes",
    "files_of",
    "format_comparison",
    "format_table",
    "over_forgotten",
    "over_forgotten_notes",
    "read_metrics",
    "read_records",
    "read_robustness",
    "read_runs",
    "read_sets",
    "read_sweep",
    "record_files",
    "reference_notes",
    "references_in",
    "sequences",
]

make_lazy(__name__)
