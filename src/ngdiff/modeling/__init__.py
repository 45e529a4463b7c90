"""Models and tokenizers: load them, or build small ones with random weights."""

from typing import TYPE_CHECKING

from ngdiff.lazy import make_lazy

if TYPE_CHECKING:
    from ngdiff.modeling.adapter import add_adapter
    from ngdiff.modeling.build import build_model, read_shape
    from ngdiff.modeling.folders import adapter_base
    from ngdiff.modeling.image_logits import image_logits
    from ngdiff.modeling.image_models import build_image_model, class_names_of, load_image_model
    from ngdiff.modeling.load import load_model, load_tokenizer
    from ngdiff.modeling.merge import MergedBase, merge_adapter
    from ngdiff.modeling.model_files import check_savable
    from ngdiff.modeling.same_tokens import check_same_tokens
    from ngdiff.modeling.save import save_model
    from ngdiff.modeling.shapes import IMAGE_SHAPES, MODEL_SHAPES, SHAPES, is_image_shape, is_shape
    from ngdiff.modeling.tokenizer import train_tokenizer
    from ngdiff.modeling.vocabulary import check_tokens, check_vocabulary

__all__ = [
    "IMAGE_SHAPES",
    "MODEL_SHAPES",
    "SHAPES",
    "MergedBase",
    "adapter_base",
    "add_adapter",
    "build_image_model",
    "build_model",
    "check_same_tokens",
    "check_savable",
    "check_tokens",
    "check_vocabulary",
    "class_names_of",
    "image_logits",
    "is_image_shape",
    "is_shape",
    "load_image_model",
    "load_model",
    "load_tokenizer",
    "merge_adapter",
    "read_shape",
    "save_model",
    "train_tokenizer",
]

make_lazy(__name__)
