"""Options of language models and their rows."""

from dataclasses import dataclass

from ngdiff.data.refusals import read_refusals
from ngdiff.errors import InputError
from ngdiff.option import check_choice, option
from ngdiff.speed.fused_kernels import FUSED_LOSSES, load_kernel

_MEASURED_STEPS = 10  # between two quick measures, with --utility-floor and without --eval-generate-steps


@dataclass
class TextOptions:
    """How rows become tokens, and how passes over tokens are computed. Part of `UnlearnConfig`."""

    idk_file: str | None = option(
        None, "answers that idk and dpo teach, and altpo where the model gave none; one a line (a list of ours)", "FILE"
    )
    template: str = option("auto", "how a question is put: auto, plain, chat, or a text with {question} and {answer}")
    max_length: int | None = option(None, "longest row in tokens (the model's context; 2048 where it states none)")
    speed: str = option(
        "auto",
        "auto: quicker ways to compute a forward pass, each where it changes nothing on the run's first rows; "
        "off: the plain pass",
    )
    packing: str = option(
        "auto",
        "give the model the rows of a batch one after the other, without padding, where it tells them apart: on, off, "
        "or auto: where that is faster, which is on a CPU with sdpa attention",
    )
    fused_loss: str = option(
        "none",
        f"token losses without logits, where no objective needs those: none, {', '.join(FUSED_LOSSES)} (extras)",
        "NAME",
    )
    eval_generate_steps: int = option(
        0,
        "steps between two quick measures of Verbmem and Utility, which go to the log: answers to 16 rows of each set; "
        "0: none",
        "N",
    )
    utility_floor: float | None = option(
        None,
        "least Utility of the model that is handed over, as a fraction of that before the run, by those measures "
        "(every tenth step where --eval-generate-steps is not given): if it is lower at the end, the last weights that "
        "keep it are put back",
        "FRACTION",
    )

    @property
    def measured_steps(self) -> int:
        """Steps between two quick measures; 0 for none."""
        return self.eval_generate_steps or (_MEASURED_STEPS if self.utility_floor is not None else 0)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of these options."""
        return tuple(TextOptions.__annotations__)

    def asked_for(self) -> list[str]:
        """Names of those that were given and want something of a language model; `off` asks for nothing."""
        plain = TextOptions()
        return [name for name in self.names() if getattr(self, name) not in (getattr(plain, name), "off")]

    def check_text(self) -> None:
        """Bring words that YAML takes for booleans into their form, and refuse what is not known or cannot be loaded.

        Raises:
            InputError: an option that cannot be used.
        """
        self.packing, self.speed = switch_word(self.packing), switch_word(self.speed)
        read_refusals(self.idk_file)
        check_choice("--speed", self.speed, ("auto", "off"))
        check_choice("--packing", self.packing, ("auto", "on", "off"))
        asked = {"--packing on": self.packing == "on", f"--fused-loss {self.fused_loss}": self.fused_loss != "none"}
        for word, given in asked.items():
            if given and self.speed == "off":
                raise InputError(f"{word} contradicts --speed off, the plain forward pass; leave out one of them")
        if self.fused_loss != "none":
            load_kernel(self.fused_loss)  # a missing package is found now


def switch_word(value: str | bool) -> str:
    """`--packing` or `--speed` as intended: YAML takes a bare `on` or `off` for a boolean.

    >>> switch_word(True), switch_word("no"), switch_word("auto")
    ('on', 'off', 'auto')
    """
    return {"true": "on", "yes": "on", "false": "off", "no": "off"}.get(str(value).lower(), str(value))
