"""`ngdiff unlearn`."""

from collections.abc import Mapping
from typing import Any

from ngdiff.cli.earlier import with_model_of_after
from ngdiff.cli.loading import load_torch, say_loading
from ngdiff.cli.own_code import describe_own
from ngdiff.cli.processes import say
from ngdiff.cli.require import judge_losses, texts_of
from ngdiff.cli.ruined import ruined_error
from ngdiff.cli.run_folder import RunFolder
from ngdiff.cli.task_option import task_of
from ngdiff.cli.tasks import TASKS, Unlearning
from ngdiff.cli.upload import Upload
from ngdiff.evidence.ledger import refuse_came_back, retest_table
from ngdiff.evidence.requirements import Requirement, parse_requirements
from ngdiff.evidence.verdicts import refuse_unmet, verdict_table
from ngdiff.paths import user_path
from ngdiff.writing import without_nan


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: options, data or model that cannot be used; before any long work.
        RuinedModelError: the model is ruined; all is written.
        VerdictError: an earlier request came back, or what was required is not met; all is written.
        OSError: the hub cannot be reached, before the run or, when all is written, after it.
    """
    kind = TASKS[task_of(words)].unlearn
    values = kind.parser.parse(with_model_of_after(words) if "after" in kind.parser.names else words)
    options = None if values is None else kind.accepted(values)
    if values is None or options is None:
        return
    arguments = kind.arguments(values, user_path(options.output, "--output"))
    requirements = parse_requirements(options.require)
    material = kind(options, arguments)
    folder = RunFolder("unlearn", words, options, arguments, material.inputs)
    upload = Upload(options)
    upload.refuse_local_base(options)
    material.open_inputs()
    upload.prepare()
    load_torch()

    from ngdiff.speed.cpu.denormals import denormals_are_zero

    with denormals_are_zero():  # before torch starts threads of its own
        _unlearn(material, values, options, folder, requirements)
    upload.carry_out()


def _unlearn(
    material: Unlearning,
    values: Mapping[str, Any],
    options: Any,
    folder: RunFolder,
    requirements: list[Requirement],
) -> None:
    """The run; its options and rows are checked, as far as that goes without torch."""
    from ngdiff.cli.unlearn_run import losses_of, train

    config = material.trainer_config(values, folder.path)
    material.read()
    with folder.describe(
        options,
        data=material.data,
        model=material.model_files,
        template=material.template,
        template_text=material.template_text,
        own=describe_own(material.config) | material.own,
        after=material.earlier.chain,
        rows_per_step=config.rows_per_step if material.any_number_of_processes else None,
    ):
        if folder.is_done():
            return
        checkpoint = folder.checkpoint()
        say_loading(f"the model {options.model}")
        trainer = material.trainer(folder.path, config)
        folder.begin(
            processes=config.world_size,
            rows_per_step=config.rows_per_step,
            max_length=config.max_length,
            **texts_of(requirements),
            **material.extra,
        )
        outcome = train(trainer, material.companion, folder, checkpoint)
        verdicts = judge_losses(requirements, outcome.before, outcome.after)
        retests = [] if outcome.ruined else material.earlier.take_again(trainer)
        if retests:
            folder.extra["earlier_requests"] = [without_nan(one.as_json()) for one in retests]
        if verdicts:
            folder.extra["verdicts"] = [one.as_json() for one in verdicts]
    say(losses_of(trainer, outcome))
    if outcome.ruined:
        raise ruined_error(folder.path, outcome, "--max-retain-loss")
    say(f"The model is in {options.output}; what it still knows:\n  {material.evaluation()}\n")
    say(retest_table(retests) + verdict_table(verdicts))
    refuse_came_back(retests, options.output)
    refuse_unmet(verdicts, options.output)
