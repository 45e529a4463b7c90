"""`ngdiff finetune`."""

from ngdiff.cli.loading import load_torch, say_loading
from ngdiff.cli.processes import is_first, process_count, say
from ngdiff.cli.ruined import ruined_error
from ngdiff.cli.run_folder import RunFolder
from ngdiff.cli.signals import SIGNALS
from ngdiff.cli.task_option import task_of
from ngdiff.cli.tasks import TASKS
from ngdiff.paths import user_path
from ngdiff.plurals import number_of


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: options, data or model that cannot be used; before any long work.
        RuinedModelError: the model is ruined; all is written.
    """
    kind = TASKS[task_of(words)].finetune
    values = kind.parser.parse(words)
    if values is None:
        return
    options = kind.accepted(values)
    arguments = kind.arguments(values, user_path(options.output, "--output"))
    material = kind(options, arguments)
    folder = RunFolder("finetune", words, options, arguments, material.inputs)
    material.open_inputs()
    load_torch()

    from ngdiff.cli.at_begin import AtBegin
    from ngdiff.modeling import save_model

    config = kind.trainer_config(values, folder.path)
    material.read()
    with folder.describe(
        options,
        data=material.data,
        model=material.model_files,
        template=material.template,
        template_text=material.template_text,
        own=material.own,
    ):
        if folder.is_done():
            return
        checkpoint = folder.checkpoint()
        say_loading(f"the model {options.model}")
        material.load(folder.path)

        def begin() -> None:
            folder.begin(processes=process_count())
            material.begun()

        result = material.train(
            config, callbacks=[AtBegin(begin)], resume=checkpoint or False, stop_request=SIGNALS.request
        )
        ruined = result.outcome.ruined
        place = folder.model_place(ruined)
        folder.extra |= {"steps": result.steps, "epochs": result.epochs, **result.outcome.as_extra()}
        folder.add_model(save_model(material.model, material.companion, place) if is_first() else [], ruined)
    if ruined:
        raise ruined_error(folder.path, result.outcome, "--max-loss")
    passes = number_of(float(result.epochs), "pass")
    say(f"training loss {result.loss:.4f} after {passes}; the model is in {options.output}\n")
