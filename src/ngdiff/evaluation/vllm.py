"""Greedy answers from vLLM instead of the model in memory: `--generator vllm`. An extra of its own: `ngdiff[vllm]`.

vLLM reads the model from its folder or from the hub and keeps a copy of it on the GPU. This path is tested against a
stand-in for the package only; it has not been run on a GPU.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ngdiff.errors import InputError
from ngdiff.evaluation.prompts import Generator, Prompt


def check_vllm() -> Any:
    """The package.

    Raises:
        InputError: it is not installed.
    """
    try:
        import vllm
    except ImportError as error:
        raise InputError("--generator vllm needs the package vllm: pip install 'ngdiff[vllm]'") from error
    return vllm


def vllm_generator(
    model: str,
    ends: frozenset[int],
    *,
    dtype: str = "auto",
    trust_remote_code: bool = False,
    make_room: Callable[[], None] = lambda: None,
) -> Generator:
    """A generator that hands all prompts it gets to vLLM, which batches them automatically.

    Temperature 0: at every step the most probable token, as `GreedyGenerator` does; the two agree up to rounding.
    What is known of an answer is not used. The engine starts with the first batch, so that a run without any
    generation never pays for it.

    Args:
        model: Folder or hub name, no adapter.
        ends: Ids that end an answer.
        dtype: Name of the weights' type, or auto.
        trust_remote_code: Run Python code that comes with the model.
        make_room: Called before the engine starts, which takes most of a GPU's memory.

    Raises:
        InputError: vllm is not installed.
    """
    vllm = check_vllm()
    engine: list[Any] = []

    def generate(prompts: Sequence[Prompt]) -> list[list[int]]:
        if not engine:
            make_room()
            engine.append(vllm.LLM(model=model, dtype=dtype, trust_remote_code=trust_remote_code, seed=0))
        parameters = [
            vllm.SamplingParams(
                temperature=0.0,
                max_tokens=prompt.limit,
                stop_token_ids=sorted(ends),
                ignore_eos=False,
                detokenize=False,
            )
            for prompt in prompts
        ]
        inputs = [{"prompt_token_ids": list(prompt.ids)} for prompt in prompts]
        found = engine[0].generate(inputs, parameters, use_tqdm=False)
        return [list(answer.outputs[0].token_ids) for answer in found]

    return generate
