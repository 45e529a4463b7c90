"""A tokenizer trained on the user's own texts, for models that start from random weights."""

from collections.abc import Iterable, Iterator

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from ngdiff.errors import InputError

BOS, EOS, PAD = "<s>", "</s>", "<pad>"
_SPECIAL = (BOS, EOS, PAD)
_LONG = 1 << 16  # characters
# The 256 bytes are always in the vocabulary: no text is ever unknown.
SMALLEST_VOCABULARY = 256 + len(_SPECIAL)


def train_tokenizer(
    texts: Iterable[str], vocab_size: int = 4096, *, model_max_length: int = 512
) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer (Sennrich et al. 2016, on bytes as GPT-2 does).

    Equal texts in equal order give an equal tokenizer. Every string can be encoded and decodes to itself,
    unless it spells a special token (`<s>`, `</s>`, `<pad>`): which is read as that token.
    Encoding puts `<s>` in front, as Llama's tokenizer does, so that a text without a prompt has a position to
    predict its first token from. End and pad token differ. There is no chat template.

    Args:
        texts: The training texts, read once.
        vocab_size: Upper bound of the number of tokens, special tokens included; few texts give fewer.
        model_max_length: Tokens; what the tokenizer reports as the longest input of its model.

    Raises:
        InputError: there is no text, or `vocab_size` leaves no room for the 256 bytes and the special tokens.

    >>> tokenizer = train_tokenizer(["a small example", "another small example"], vocab_size=300)
    >>> tokenizer.decode(tokenizer("small ☃")["input_ids"], skip_special_tokens=True)
    'small ☃'
    """
    if vocab_size < SMALLEST_VOCABULARY:
        raise InputError(
            f"vocab_size is {vocab_size}; a byte-level vocabulary has at least {SMALLEST_VOCABULARY} tokens."
        )
    texts = [text for text in texts if text]
    if not texts:
        raise InputError("No text to train a tokenizer on: every text is empty.")
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        (part for text in texts for part in _parts(text)),
        trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=list(_SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    bpe.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, bpe.token_to_id(BOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        model_max_length=model_max_length,
        clean_up_tokenization_spaces=False,
    )


def _parts(text: str) -> Iterator[str]:
    """The text, a long one split before spaces: the trainer needs some hundred bytes for each character of a text."""
    begin = 0
    while len(text) - begin > _LONG:
        space = text.rfind(" ", begin + 1, begin + _LONG)
        end = space if space > begin else begin + _LONG
        yield text[begin:end]
        begin = end
    yield text[begin:]
