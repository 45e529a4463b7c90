"""`--push-to-hub` of `unlearn` and `merge`: what is uploaded when, and what a failed upload leaves."""

import json
import shlex
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest

from ngdiff.cli.upload import HubOptions, Upload
from ngdiff.errors import InputError

from ..stand_in_hub import Hub, put_in_place
from .runs import Material, run, succeeded


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> type[Hub]:
    return put_in_place(monkeypatch)


@pytest.fixture(scope="module")
def adapter(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adapter") / "out"
    succeeded(run(*material.words(out, max_steps=1, lora_rank=2)))
    return out


def kinds(hub: type[Hub]) -> list[str]:
    return [kind for kind, _ in hub.calls]


def test_a_run_uploads_its_model_to_a_private_repository_of_its_name(material: Material, tmp_path: Path, hub) -> None:
    done = succeeded(run(*material.words(tmp_path / "forgetful", "--push-to-hub", max_steps=1)))
    assert hub.calls[0] == ("repo", ("forgetful", True, True))  # before the run, so that it is not in vain
    assert kinds(hub) == ["repo", "repo", "commit"]
    name, files, revision = hub.calls[-1][1]
    assert (name, revision) == ("me/forgetful", None)
    assert {"README.md", "model.safetensors", "tokenizer.json"} <= files.keys()
    assert not [name for name in files if "/" in name or name in ("manifest.json", "config.yaml")]
    assert done.out.endswith("files uploaded to https://huggingface.co/me/forgetful\n")
    assert "hub" not in (tmp_path / "forgetful" / "config.yaml").read_text()  # a run that is repeated uploads nothing
    succeeded(run("verify", tmp_path / "forgetful"))


def test_a_failed_upload_loses_nothing_and_names_the_command(material: Material, tmp_path: Path, hub) -> None:
    out = tmp_path / "an output"
    words = material.words(out, "--push-to-hub", max_steps=1, hub_model_id="me/mine")
    hub.error = ConnectionError("no route")
    failed = run(*words)
    assert failed.status == 1
    command = f"ngdiff push '{out}' me/mine --private"
    assert failed.error == (
        f"all is done and written to {out}, but not uploaded (nothing was uploaded to me/mine: no route); to upload "
        f"it: {command}"
    )
    assert "forget loss" in failed.out
    succeeded(run("verify", out))
    hub.error, hub.calls = None, []
    succeeded(run(*shlex.split(command)[1:]))
    assert kinds(hub) == ["repo", "commit"]
    # So does the same command with --resume, which finds nothing else to do.
    hub.calls = []
    succeeded(run(*words, "--resume"))
    assert kinds(hub) == ["repo", "repo", "commit"]


def test_a_hub_that_refuses_after_the_run_is_no_bad_input(material: Material, tmp_path: Path, hub) -> None:
    refused = OSError("403 Forbidden")
    refused.response = SimpleNamespace(status_code=403)  # type: ignore[attr-defined]
    hub.error = refused
    failed = run(*material.words(tmp_path / "out", "--push-to-hub", max_steps=1))
    assert failed.status == 1
    assert "not uploaded (the hub refuses out (403): 403 Forbidden)" in failed.error


def test_a_model_that_does_not_meet_what_was_required_is_not_uploaded(material: Material, tmp_path: Path, hub) -> None:
    words = material.words(tmp_path / "out", "--push-to-hub", "--require=forget.loss>=99", max_steps=1)
    assert run(*words).status == 5
    assert "commit" not in kinds(hub)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--hub-model-id", "me/x"], "--hub-model-id me/x changes nothing without --push-to-hub"),
        (["--no-hub-private-repo"], "--no-hub-private-repo changes nothing without --push-to-hub"),
        (["--push-to-hub", "--hub-model-id", "a/b/c"], "REPOSITORY a/b/c is no name on the hub"),
        (
            ["--push-to-hub", "--lora-rank", "2"],
            "--push-to-hub: the adapter is for a model in a folder of this machine",
        ),
        (["--push-to-hub", "--hub-token", "hf_x"], "--hub-token is not supported: a trainer uploads nothing"),
    ],
)
def test_what_cannot_be_uploaded_is_refused_before_the_run(
    more: list[str], message: str, material: Material, tmp_path: Path, hub
) -> None:
    refused = run(*material.words(tmp_path / "out", *more))
    assert refused.status == 2
    assert message in refused.error
    assert not (tmp_path / "out").exists()
    assert hub.calls == []


def test_a_public_repository_or_no_token_is_told_before_the_run(
    material: Material, tmp_path: Path, hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = material.words(tmp_path / "out", "--push-to-hub", max_steps=1)
    hub.public = True
    assert "out is there already, and public; nothing was uploaded" in run(*words).error
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    assert "needs a token to write" in run(*words).error
    assert not (tmp_path / "out").exists()


def test_a_merged_model_is_uploaded(adapter: Path, tmp_path: Path, hub) -> None:
    words = ["merge", adapter, "--output", tmp_path / "merged", "--push-to-hub", "--no-hub-private-repo"]
    succeeded(run(*words))
    assert hub.calls[0] == ("repo", ("merged", None, True))
    assert {"README.md", "model.safetensors"} <= hub.calls[-1][1][1].keys()
    hub.error = ConnectionError("no route")
    failed = run(*words, "--overwrite")
    assert failed.status == 1
    assert failed.error.endswith(f"to upload it: ngdiff push {tmp_path / 'merged'} merged")
    succeeded(run("verify", tmp_path / "merged"))


def test_a_merged_model_of_a_foreign_adapter_has_no_card_to_upload(adapter: Path, tmp_path: Path, hub) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (foreign / name).write_bytes((adapter / name).read_bytes())
    refused = run("merge", foreign, "--output", tmp_path / "merged", "--push-to-hub")
    assert refused.status == 2
    assert "has no manifest.json of a run of ngdiff, so that there is no card" in refused.error
    assert hub.calls == []


def test_the_base_of_an_adapter_must_be_one_that_others_have(adapter: Path, tmp_path: Path) -> None:
    def check(**options: object) -> None:
        given = {**vars(HubOptions(push_to_hub=True)), "output": str(tmp_path), "lora_rank": 0, **options}
        Upload(SimpleNamespace(**given)).refuse_local_base(SimpleNamespace(**given))

    check(model="owner/base", lora_rank=2)
    check(model=str(tmp_path))  # all weights
    check(model=str(adapter), merge_adapter=True)
    for options in ({"model": str(adapter)}, {"model": str(adapter), "merge_adapter": True, "lora_rank": 2}):
        with pytest.raises(InputError, match="nobody else could load it"):
            check(**options)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "owner/base"}))
    check(model=str(tmp_path))
