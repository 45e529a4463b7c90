"""How to load and serve a model: code and commands for its card."""

from typing import NamedTuple

from ngdiff.file_names import MERGED_BASE

# Placeholder for the folder of the model, or its repository.
MODEL = "MODEL"


class Block(NamedTuple):
    """A piece of code, its language, and what it is for."""

    title: str
    language: str
    code: str


def loading(*, template: str | None, template_text: str | None, image: bool, adapter: bool, own_code: bool) -> str:
    """Python that loads the model with transformers or peft and asks it one question.

    Args:
        template: Name of the run's template, as `ngdiff.data.template.Template.name`; None for images, and where rows
            of text came encoded.
        template_text: That template in full.
        image: Whether it is a classifier of images.
        adapter: Whether the model is an adapter.
        own_code: Whether it takes `trust_remote_code`.
    """
    remote = ", trust_remote_code=True" if own_code else ""  # text of the card, where the user gave it to the run
    if image:
        return _image_code(remote)
    library, kind = ("peft", "AutoPeftModelForCausalLM") if adapter else ("transformers", "AutoModelForCausalLM")
    imports = ["from transformers import AutoTokenizer"] if adapter else []
    names = kind if adapter else f"{kind}, AutoTokenizer"
    special = ", add_special_tokens=False" if template == "chat" else ""
    return "\n".join(
        [
            f"from {library} import {names}",
            *imports,
            "",
            f'name = "{MODEL}"  # this folder, or its repository on the hub',
            f"tokenizer = AutoTokenizer.from_pretrained(name{remote})",
            f'model = {kind}.from_pretrained(name, dtype="auto"{remote})',
            'question = "Where was she born?"',
            *_prompt(template, template_text),
            f'inputs = tokenizer(prompt, return_tensors="pt"{special})',
            "output = model.generate(**inputs, max_new_tokens=64, do_sample=False)",
            'print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))',
        ]
    )


def _prompt(template: str | None, text: str | None) -> list[str]:
    """Lines that turn a question into the prompt by which the model was trained."""
    if template is None:
        return ["prompt = question  # the rows came encoded: put the question as they did"]
    if template == "chat":
        return [
            'messages = [{"role": "user", "content": question}]',
            "prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)",
        ]
    if template == "text" or text is None:
        return ["prompt = question  # the rows were running text: give the beginning of one"]
    head = text.partition("{answer}")[0].rstrip()
    return [f'prompt = {head!r}.replace("{{question}}", question)']


def _image_code(remote: str) -> str:
    return "\n".join(
        [
            "from PIL import Image",
            "from transformers import AutoImageProcessor, AutoModelForImageClassification",
            "",
            f'name = "{MODEL}"  # this folder, or its repository on the hub',
            f"processor = AutoImageProcessor.from_pretrained(name{remote})",
            f"model = AutoModelForImageClassification.from_pretrained(name{remote}).eval()",
            'inputs = processor(Image.open("image.png").convert("RGB"), return_tensors="pt")',
            "print(model.config.id2label[int(model(**inputs).logits.argmax())])",
        ]
    )


def serving(*, template: str, adapter: bool, base: str | None, beside: bool, rank: int | None) -> list[Block]:
    """Commands of vLLM and llama.cpp.

    Args:
        template: As of `loading`.
        adapter: Whether the model is an adapter.
        base: Repository of an adapter's base, where it is known.
        beside: Whether an adapter's base lies in `merged_base` beside it.
        rank: Of the adapter.
    """
    way = "chat/completions" if template == "chat" else "completions"
    folder = f"{MODEL}/{MERGED_BASE}" if beside else "BASE"  # llama.cpp takes no name on the hub
    below = base or folder
    vllm, convert = f"vllm serve {MODEL}", f"python convert_hf_to_gguf.py {MODEL} --outfile model.gguf"
    llama = "llama-server -m model.gguf"
    if adapter:
        size = f" --max-lora-rank {rank}" if rank else ""
        vllm = f"vllm serve {below} --enable-lora --lora-modules unlearned={MODEL}{size}"
        convert = (
            f"python convert_hf_to_gguf.py {folder} --outfile model.gguf\n"
            f"python convert_lora_to_gguf.py --base {folder} {MODEL} --outfile adapter.gguf"
        )
        llama = "llama-server -m model.gguf --lora adapter.gguf"
    jinja = " --jinja" if template == "chat" else ""
    return [
        Block(f"vLLM; requests go to /v1/{way}", "bash", vllm),
        Block(f"llama.cpp; requests go to /v1/{way}", "bash", f"{convert}\n{llama}{jinja}"),
    ]
