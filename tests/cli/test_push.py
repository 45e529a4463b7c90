"""`ngdiff push` against a stand-in of the hub's client: what is uploaded, and what is refused."""

import inspect
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest

from ngdiff.cli import main
from ngdiff.manifest import write_manifest

from ..stand_in_hub import TOKEN, Hub, put_in_place

CLIENT = huggingface_hub.HfApi
FILES = ["README.md", "config.json", "model.safetensors", "tokenizer.json"]


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch) -> type[Hub]:
    return put_in_place(monkeypatch)


def output(folder: Path, files: list[str] = FILES, command: str = "unlearn", **extra: Any) -> Path:
    all_files = [*files, "report/training_log.json", "report/curves.png", "private/records.jsonl"]
    for name in all_files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}" if name.endswith(".json") else f"{name}\n")
    (folder / "adapter_config.json").unlink(missing_ok=True)
    if "adapter_config.json" in files:
        (folder / "adapter_config.json").write_text(
            json.dumps({"base_model_name_or_path": extra.pop("base"), "peft_type": "LORA"})
        )
    write_manifest(
        folder,
        command=["ngdiff", command] if command else ["python"],
        config={},
        data={},
        model={},
        template="plain",
        seed=0,
        extra={"finished": True, **extra},
        outputs=all_files,
    )
    return folder


def push(capsys: pytest.CaptureFixture[str], *words: Any, status: int = 0) -> str:
    assert main(["push", *map(str, words)]) == status
    out, err = capsys.readouterr()
    assert TOKEN not in out + err
    assert "Traceback" not in err
    return out if status == 0 else err


def uploaded(hub: type[Hub]) -> dict[str, bytes]:
    return dict(hub.calls)["commit"][1]


def test_the_model_and_its_card_are_uploaded_and_nothing_else(tmp_path: Path, hub, capsys) -> None:
    said = push(capsys, output(tmp_path / "out"), "me/forgetful")
    assert sorted(uploaded(hub)) == FILES
    assert uploaded(hub)["model.safetensors"] == b"model.safetensors\n"
    assert said == "4 files uploaded to https://huggingface.co/me/forgetful\n"
    assert hub.calls[0] == ("repo", ("me/forgetful", None, True))


def test_a_private_repository_and_a_branch(tmp_path: Path, hub, capsys) -> None:
    folder = output(tmp_path / "out")
    push(capsys, folder, "forgetful", "--private", "--revision", "second")
    assert [call[0] for call in hub.calls] == ["repo", "branch", "commit"]
    assert hub.calls[0][1] == ("forgetful", True, True)
    assert hub.calls[1][1] == ("me/forgetful", "second", True)
    assert hub.calls[2][1][2] == "second"
    hub.calls, hub.public = [], True
    message = push(capsys, folder, "forgetful", "--private", status=2)
    assert "is there already, and public; nothing was uploaded" in message
    assert [call[0] for call in hub.calls] == ["repo"]


def test_the_stand_in_is_called_as_the_client_can_be() -> None:
    for name in ("create_repo", "repo_info", "create_branch", "create_commit"):
        theirs = inspect.signature(getattr(CLIENT, name)).parameters
        assert inspect.signature(getattr(Hub, name)).parameters.keys() - theirs.keys() <= {"name"}
        first = list(theirs)[1]
        assert first == "repo_id"
    assert list(inspect.signature(CLIENT.create_commit).parameters)[2] == "operations"
    assert {"library_name", "library_version"} <= inspect.signature(CLIENT).parameters.keys()


def test_an_adapter_needs_a_base_that_others_have(tmp_path: Path, hub, capsys) -> None:
    files = ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    local = output(tmp_path / "local", files, base=str(tmp_path / "base"))
    assert "give its name with --base-model" in push(capsys, local, "me/x", status=2)
    assert hub.calls == []
    push(capsys, local, "me/x", "--base-model", "owner/base")
    assert json.loads(uploaded(hub)["adapter_config.json"])["base_model_name_or_path"] == "owner/base"
    assert b"base_model: owner/base" in uploaded(hub)["README.md"]
    assert "is no name on the hub" in push(capsys, local, "me/x", "--base-model", "../base", status=2)
    (tmp_path / "bad.md").write_text("---\na: [\n---\n")
    words = ("--base-model", "owner/base", "--card", tmp_path / "bad.md")
    assert "its head is no YAML of a card" in push(capsys, local, "me/x", *words, status=2)
    push(capsys, output(tmp_path / "named", files, base="owner/base"), "me/x")
    assert "is for an adapter" in push(capsys, output(tmp_path / "w"), "me/x", "--base-model", "a/b", status=2)


def test_a_card_of_ones_own(tmp_path: Path, hub, capsys) -> None:
    card = tmp_path / "card.md"
    card.write_text("---\nlicense: mit\n---\nMine.\n")
    folder = output(tmp_path / "out")
    push(capsys, folder, "me/x", "--card", card)
    assert uploaded(hub)["README.md"].endswith(b"Mine.\n")
    (folder / "README.md").write_text("Mine.\n")
    assert "a card of your own goes to --card FILE" in push(capsys, folder, "me/x", status=4)
    push(capsys, output(tmp_path / "by hand", FILES[1:], command=""), "me/x", "--card", card)
    assert "cannot be read" in push(capsys, output(tmp_path / "o"), "me/x", "--card", tmp_path / "none", status=2)


def test_an_output_that_is_not_to_be_published(tmp_path: Path, hub, capsys) -> None:
    unfinished = output(tmp_path / "unfinished", finished=False)
    assert "has not ended; continue with --resume" in push(capsys, unfinished, "me/x", status=2)
    ruined = output(tmp_path / "ruined", ruined="its retain loss rose")
    assert "is ruined, and nothing was uploaded: its retain loss rose" in push(capsys, ruined, "me/x", status=2)
    assert "is of ngdiff evaluate" in push(capsys, output(tmp_path / "e", command="evaluate"), "me/x", status=2)
    assert "holds no manifest.json" in push(capsys, tmp_path / "nowhere", "me/x", status=2)
    changed = output(tmp_path / "changed")
    (changed / "model.safetensors").write_text("other")
    assert "model.safetensors is changed" in push(capsys, changed, "me/x", status=4)
    added = output(tmp_path / "added")
    (added / "more.json").write_text("{}")
    assert "more.json is not of this run" in push(capsys, added, "me/x", status=4)
    seal = output(tmp_path / "seal")
    (seal / "manifest.json").write_text((seal / "manifest.json").read_text().replace('"seed": 0', '"seed": 1'))
    assert "its seal does not match its contents" in push(capsys, seal, "me/x", status=4)
    assert "has no card (README.md); give one" in push(capsys, output(tmp_path / "old", FILES[1:]), "me/x", status=2)
    assert hub.calls == []


def test_a_log_beside_the_model_is_not_taken_for_a_part_of_it(tmp_path: Path, hub, capsys) -> None:
    folder = output(tmp_path / "other", [*FILES, "training_log.json"])
    message = push(capsys, folder, "me/x", status=4)
    assert f"{folder / 'manifest.json'}: its entry outputs.training_log.json lies outside report/" in message
    assert hub.calls == []


def test_words_that_cannot_be_used(tmp_path: Path, hub, monkeypatch, capsys) -> None:
    folder = output(tmp_path / "out")
    assert "takes OUTPUT and REPOSITORY, and 1 were given" in push(capsys, folder, status=2)
    assert "REPOSITORY a/b/c is no name on the hub" in push(capsys, folder, "a/b/c", status=2)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    assert "needs a token to write" in push(capsys, folder, "me/x", status=2)
    assert hub.calls == []


def test_what_the_hub_refuses_is_said_in_one_line_without_the_token(tmp_path: Path, hub, capsys) -> None:
    folder = output(tmp_path / "out")
    refused = OSError(f"403 Forbidden: {TOKEN}\nmay not write")
    refused.response = SimpleNamespace(status_code=403)  # type: ignore[attr-defined]
    hub.error = refused
    message = push(capsys, folder, "me/x", status=2)
    assert message.endswith("the hub refuses me/x (403): 403 Forbidden: *** may not write\n")
    hub.error = ConnectionError("no route")
    assert push(capsys, folder, "me/x", status=1).endswith("nothing was uploaded to me/x: no route\n")
