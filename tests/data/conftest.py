"""Tokenizers of every family, trained in moments on text of our own, and the folder of real data."""

import os
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizer, PreTrainedTokenizerFast

from ngdiff.data.people import fictional_people

TEXTS = [f"Question: {row['question']}\nAnswer: {row['answer']}" for row in fictional_people(30)]
IM_START, IM_END = "<|im_start|>", "<|im_end|>"
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def train(tokenizer: tokenizers.Tokenizer, kind: type, **options: Any) -> tokenizers.Tokenizer:
    specials = ["<unk>", "<s>", "</s>", IM_START, IM_END]
    trainer = kind(vocab_size=600, special_tokens=specials, show_progress=False, **options)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def wrap(tokenizer: tokenizers.Tokenizer, **options: Any) -> PreTrainedTokenizerFast:
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"} | options
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **names)


def byte_level(add_prefix_space: bool, trim_offsets: bool, **options: Any) -> PreTrainedTokenizerFast:
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=add_prefix_space, trim_offsets=trim_offsets)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return wrap(train(tokenizer, trainers.BpeTrainer, initial_alphabet=alphabet), **options)


def framed(tokenizer: tokenizers.Tokenizer, form: str) -> tokenizers.Tokenizer:
    """Adds special tokens around the text: `"<s> $A"`, `"$A </s>"`."""
    ids = [(token, tokenizer.token_to_id(token)) for token in form.split() if token != "$A"]
    tokenizer.post_processor = processors.TemplateProcessing(single=form, special_tokens=ids)
    return tokenizer


def byte_level_framed(form: str) -> PreTrainedTokenizerFast:
    return wrap(framed(byte_level(False, False).backend_tokenizer, form))


def metaspace() -> PreTrainedTokenizerFast:
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return wrap(framed(train(tokenizer, trainers.UnigramTrainer, unk_token="<unk>"), "<s> $A </s>"))


def sentencepiece_style() -> PreTrainedTokenizerFast:
    """Spaces become a letter in the normalizer and words are not split beforehand, as in Llama 2."""
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return wrap(framed(train(tokenizer, trainers.BpeTrainer), "<s> $A"))


def wordpiece() -> PreTrainedTokenizerFast:
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return wrap(framed(train(tokenizer, trainers.WordPieceTrainer), "<s> $A <|im_end|>"))


class CharacterTokenizer(PreTrainedTokenizer):
    """One id per character, written in Python: a tokenizer without offsets. It appends `last`."""

    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 (transformers declares it so)

    def __init__(self, last: str = "</s>", **options: Any) -> None:
        self.letters = {chr(code): code for code in range(9, 0x250)}
        self.last = last
        super().__init__(bos_token="<s>", eos_token="</s>", unk_token="<unk>", **options)

    @property
    def vocab_size(self) -> int:
        return 0x250

    def get_vocab(self) -> dict[str, int]:
        return dict(self.letters) | self.added_tokens_encoder

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        return list(text)

    def _convert_token_to_id(self, token: str) -> int:
        return self.letters.get(token, ord("?"))

    def _convert_id_to_token(self, index: int) -> str:
        return chr(index)

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        return "".join(tokens)

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        assert token_ids_1 is None
        return [self.bos_token_id, *token_ids_0, self.added_tokens_encoder[self.last]]


TOKENIZERS = {
    "byte-level": lambda: byte_level(False, False),
    "byte-level, trimmed offsets": lambda: byte_level(False, True),
    "byte-level, prefix space": lambda: byte_level(True, False),
    "byte-level, prefix space, trimmed offsets": lambda: byte_level(True, True),
    "byte-level, begins": lambda: byte_level_framed("<s> $A"),
    "byte-level, begins and ends": lambda: byte_level_framed("<s> $A </s>"),
    "metaspace": metaspace,
    "sentencepiece": sentencepiece_style,
    "wordpiece": wordpiece,
    "python": CharacterTokenizer,
    "python, ends in another token": lambda: CharacterTokenizer("<unk>"),
}
_made: dict[str, Any] = {}


def make(name: str) -> Any:
    if name not in _made:
        _made[name] = TOKENIZERS[name]()
    return _made[name]


@pytest.fixture(params=TOKENIZERS)
def any_tokenizer(request: pytest.FixtureRequest) -> Any:
    return make(request.param)


@pytest.fixture
def tokenizer() -> Any:
    return make("byte-level")


@pytest.fixture
def python_tokenizer() -> Any:
    return make("python")


@pytest.fixture
def chat_tokenizer() -> Any:
    """Byte-level, begins with `<s>`, ChatML template; its end token is not the template's."""
    made = byte_level_framed("<s> $A")
    made.chat_template = CHATML
    return made


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = os.environ.get("NGDIFF_DATA")
    if not folder:
        pytest.skip("NGDIFF_DATA is not set: the folder of real data sets")
    return Path(folder)


@pytest.fixture(scope="session")
def llama_tokenizer(real_data: Path) -> Any:
    return AutoTokenizer.from_pretrained(real_data / "lm" / "stories260K")
