"""The card of a model that a run has written: its `README.md`, in the form of the Hugging Face hub."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from ngdiff.evidence.ledger import read_retests
from ngdiff.evidence.verdicts import read_verdicts
from ngdiff.file_names import ADAPTER_CONFIG
from ngdiff.plurals import number_of
from ngdiff.report.asked import ROLES, named_images
from ngdiff.report.base_card import Base, base_of, merged_base_of, short_name
from ngdiff.report.limits import IMAGES_NOT_REMOVED, NO_OPINION, NOT_REMOVED
from ngdiff.report.loading import Block, loading, serving
from ngdiff.report.method_words import finetuning_in_words, method_in_words
from ngdiff.report.page import page
from ngdiff.report.required import EarlierLine, RequiredLine, earlier_line_of, line_of
from ngdiff.scoring.quantities import shown


@dataclass(frozen=True)
class Card:
    """What the text of a card shows; see `templates/card.md.j2`."""

    title: str
    what: str
    ruined: str
    rows: list[tuple[str, str, str, str]]
    method: list[str]
    formulas: Mapping[str, str]
    losses: list[tuple[str, str, str, str]]
    verdicts: list[RequiredLine]
    earlier: list[EarlierLine]
    code: str
    image: bool
    template: str | None
    template_text: str | None
    serving: list[Block]
    limits: list[str]
    facts: Mapping[str, str]


def model_card(
    name: str, files: Sequence[str], options: Mapping[str, Any], manifest: Mapping[str, Any], version: str
) -> str:
    """The `README.md` of a model: YAML head and Markdown.

    It holds counts and hashes of rows, no text of them, and of paths the last part of a folder's name alone, in one
    line, escaped and cut. The licence is that of the base model, where its own card or config names one.

    Args:
        name: Of the output folder.
        files: Names of the model's files.
        options: All of the run, as `config.yaml` has them.
        manifest: Of the run: `data`, `model`, `template`, `template_text`, `seed`, `own` and `extra` are used. A
            model with data of the role `train` was trained; any other has unlearned.
        version: Of ngdiff.
    """
    extra, template = manifest["extra"], manifest["template"]
    image = options.get("task", "image" if template is None else "text") == "image"
    adapter = ADAPTER_CONFIG in files
    beside = adapter and bool(options.get("merge_adapter"))  # the adapter's base lies beside it
    described = manifest["model"] or {}
    base = merged_base_of(described, name) if beside else base_of(described, adapter=adapter)
    unlearned = "train" not in manifest["data"]
    serve = []
    if template is not None:
        rank = options.get("lora_rank") or None
        serve = serving(template=template, adapter=adapter, base=base.repository, beside=beside, rank=rank)
    text = manifest.get("template_text")
    content = Card(
        title=short_name(name),
        what=_what(base, manifest["data"], image=image, unlearned=unlearned, adapter=adapter, version=version),
        ruined=str(extra.get("ruined", "")),
        rows=[_row(role, own) for role, own in manifest["data"].items()],
        method=(method_in_words if unlearned else finetuning_in_words)(options, extra),
        formulas={str(key): str(value) for key, value in extra.get("formulas", {}).items()},
        losses=_losses(extra),
        verdicts=[line_of(one) for one in read_verdicts(extra)],
        earlier=[earlier_line_of(one) for one in read_retests(extra)],
        code=loading(
            template=template,
            template_text=text,
            image=image,
            adapter=adapter,
            own_code=bool(options.get("trust_remote_code")),
        ),
        image=image,
        template=template,
        template_text=text,
        serving=serve,
        limits=_limits(image=image, unlearned=unlearned),
        facts={
            "seed": str(manifest["seed"]),
            "processes": str(extra.get("processes", 1)),
            **named_images(manifest),
        },
    )
    body = page("card", "markdown", own=content)
    head = _head(base, adapter=adapter, image=image, unlearned=unlearned)
    return str(ModelCard(f"---\n{head.to_yaml()}\n---\n\n{body}"))


def _head(base: Base, *, adapter: bool, image: bool, unlearned: bool) -> ModelCardData:
    tags = ["ngdiff", *(["unlearning", "machine-unlearning"] if unlearned else []), *(["lora"] if adapter else [])]
    more: dict[str, Any] = dict(base.licence)
    if base.repository:
        more["base_model_relation"] = "adapter" if adapter else "finetune"
    return ModelCardData(
        base_model=base.repository,
        library_name="peft" if adapter else "transformers",
        pipeline_tag="image-classification" if image else "text-generation",
        tags=tags,
        **more,
    )


def _what(base: Base, data: Mapping[str, Any], *, image: bool, unlearned: bool, adapter: bool, version: str) -> str:
    unit = "image" if image else "row"
    subject = f"An adapter for “{base.name}”" if adapter else "A model"
    source = "" if adapter else f" from “{base.name}”" if base.name else ""
    if not unlearned:
        rows = data.get("train", {}).get("rows", "?")
        return f"{subject}, made{source} by ngdiff {version}: trained on {number_of(rows, unit)}."
    count = data.get("forget", {}).get("rows", "?")
    forgotten = f"{number_of(count, unit)} {'was' if count == 1 else 'were'} forgotten"
    return f"{subject}, made{source} by ngdiff {version}: {forgotten}, the rest kept."


def _row(role: str, own: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return role, ROLES.get(role, ""), str(own.get("rows", "-")), str(own.get("rows_sha256", "-"))


def _losses(extra: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    before, after = extra.get("losses_before", {}), extra.get("losses_after", {})
    rows = extra.get("rows_of_losses", {})
    return [(role, str(rows.get(role, "-")), shown(value), shown(after.get(role))) for role, value in before.items()]


def _limits(*, image: bool, unlearned: bool) -> list[str]:
    if unlearned:
        return [
            IMAGES_NOT_REMOVED if image else NOT_REMOVED,
            "A mean loss hides single images, and does not say which class the model gives them."
            if image
            else "A mean loss hides single rows, and does not say what the model answers when it is asked.",
            NO_OPINION,
        ]
    return [
        "This model was trained, not unlearned: it may "
        f"{'tell the images that it learned from others' if image else 'recite the rows that it learned'}.",
        "A loss is no measure of how useful a model is.",
    ]
