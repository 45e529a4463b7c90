"""Names that people type for options: short ones that are accepted, and others that are understood."""

import difflib
from collections.abc import Collection, Mapping

# Option -> its short name, where a command has the option and none of the short name.
SHORT = {
    "learning_rate": "lr",
    "num_train_epochs": "epochs",
    "per_device_train_batch_size": "batch_size",
    "max_steps": "steps",
}
# Words of other tools -> the options that they may stand for; the first that a command has is meant.
_MEANT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("data", "input", "inputs", "train_file", "rows"), ("train", "dataset", "forget")),
    **dict.fromkeys(("forget_set", "forget_file", "unlearn"), ("forget",)),
    **dict.fromkeys(("retain_set", "retain_file", "keep"), ("retain",)),
    **dict.fromkeys(("model_name", "model_path", "model_name_or_path", "checkpoint"), ("model",)),
    **dict.fromkeys(("out", "out_dir", "save", "save_dir", "save_path", "o"), ("output",)),
    **dict.fromkeys(("force", "replace", "f"), ("overwrite",)),
    **dict.fromkeys(("continue", "resume_from"), ("resume",)),
    **dict.fromkeys(("rate", "learn_rate"), ("learning_rate",)),
    **dict.fromkeys(
        ("batch", "bs", "batch_size", "train_batch_size", "eval_batch_size"),
        ("per_device_train_batch_size", "tokens_per_batch"),
    ),
    **dict.fromkeys(("lora", "lora_r", "rank", "r"), ("lora_rank",)),
    **dict.fromkeys(("cpu", "device", "gpu", "no_cuda"), ("use_cpu",)),
    **dict.fromkeys(("bfloat16", "half", "mixed_precision"), ("bf16",)),
    **dict.fromkeys(("wandb", "tensorboard", "tracker"), ("report_to",)),
    **dict.fromkeys(("max_seq_length", "max_seq_len", "seq_len", "context"), ("max_length",)),
    **dict.fromkeys(("verbose", "quiet"), ("log_level",)),
    **dict.fromkeys(("loss", "objective"), ("forget_objective",)),
    **dict.fromkeys(("base", "reference_model", "ref_model"), ("base_model",)),
}
_LEAST = 0.6  # of letters in common, as difflib has it
_BONUS = 0.1  # of an option that many runs use


def nearest(word: str, names: Mapping[str, str], usual: Collection[str]) -> str | None:
    """The option that an unknown word most likely stands for; None where none is near.

    Args:
        word: As typed, without dashes in front.
        names: Name or short name -> the option. All with underscores.
        usual: Options that many runs use: of two that are about as near, one of these is meant.

    >>> nearest("epoch", {"num_train_epochs": "num_train_epochs", "epochs": "num_train_epochs"}, [])
    'epochs'
    """
    asked = word.replace("-", "_").lower()
    for meant in _MEANT.get(asked, ()):
        if meant in names:
            return meant
    matcher = difflib.SequenceMatcher(b=asked)
    found: dict[str, float] = {}
    for name, option in names.items():
        matcher.set_seq1(name)
        if (ratio := matcher.ratio()) >= _LEAST:
            found[name] = ratio + (_BONUS if option in usual else 0)
    return max(found, key=lambda name: found[name], default=None)
