"""A model's settings of generation, as its `generation_config.json` has them: written back whatever they are."""

from typing import Any

from transformers import GenerationConfig


class KeptSettings(GenerationConfig):
    """Settings that are saved as they were loaded.

    Published models come with settings that transformers loads with a warning and refuses to write, such as a
    temperature without `do_sample` (Llama 2 chat). Nothing here generates with them, and a model is not to be
    lost for them.
    """

    def validate(self, strict: bool = False, *args: Any, **kwargs: Any) -> None:
        """As of the parent, which raises for what can have no meaning; where it would only warn, nothing is refused."""
        super().validate(False, *args, **kwargs)


def keep_generation_settings(model: Any) -> None:
    """Let a model's settings be written as they are, in place, where transformers would refuse to."""
    settings = getattr(model, "generation_config", None)
    if settings is None:
        return
    try:
        settings.validate(strict=True)
    except ValueError:
        model.generation_config = KeptSettings.from_dict(settings.to_dict())
