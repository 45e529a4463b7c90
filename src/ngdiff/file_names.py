"""Names of the files and folders that commands write; docs/output.md says what each is for."""

# In every output folder.
MANIFEST = "manifest.json"
CONFIG = "config.yaml"
PRIVATE = "private"  # what holds texts

# Of a run that trains.
REPORT = "report"  # what tells of the run and is no part of its model
TRAINING_LOG = f"{REPORT}/training_log.json"
CURVES = f"{REPORT}/curves.png"
CARD = "README.md"  # of its model, as the hub names it
ADAPTER_CONFIG = "adapter_config.json"  # PEFT's name
MERGED_BASE = "merged_base"  # the model under an adapter that was trained on a merged one
RUINED = "ruined"  # a model that is not to be taken for the result
REFERENCE = "reference"  # what the model before said of the rows
BASE_MODEL = "base_model"  # the same of `--base-model`
CHECKPOINTS = "checkpoints"

# In each checkpoint, so that a run can go on without the files in its folder.
MANIFEST_COPY = "run_manifest.json"
CONFIG_COPY = "run_config.yaml"

# Of an evaluation, an audit and a sweep.
METRICS_FILE = "metrics.json"
AUDIT_FILE = "audit.json"
SWEEP = "sweep.json"
EVALUATION = "evaluation"  # in the folder of each run of a sweep
RECORDS = "records_*.jsonl"  # in PRIVATE, one file for each set


def records_file(name: str) -> str:
    """The file of the records of a set.

    >>> records_file("forget")
    'records_forget.jsonl'
    """
    return RECORDS.replace("*", name)
