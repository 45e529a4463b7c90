"""A stand-in of the hub's client."""

from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import CommitOperationAdd

TOKEN = "hf_secret"


class Hub:
    """Keeps what would be uploaded. `error`: raised by the commit. `public`: the repository is there and public."""

    calls: list[tuple[str, Any]]
    error: Exception | None
    public: bool

    def __init__(self, **options: Any) -> None:
        assert "token" not in options

    def create_repo(self, name: str, *, private: bool | None, exist_ok: bool) -> Any:
        self.calls.append(("repo", (name, private, exist_ok)))
        return SimpleNamespace(repo_id=name if "/" in name else f"me/{name}")

    def repo_info(self, name: str) -> Any:
        return SimpleNamespace(private=not self.public)

    def create_branch(self, name: str, *, branch: str, exist_ok: bool) -> None:
        self.calls.append(("branch", (name, branch, exist_ok)))

    def create_commit(
        self, name: str, operations: list[CommitOperationAdd], *, commit_message: str, revision: str | None
    ) -> Any:
        if self.error is not None:
            raise self.error
        contents = {one.path_in_repo: one.as_file for one in operations}
        files = {}
        for path, read in contents.items():
            with read() as file:
                files[path] = file.read()
        self.calls.append(("commit", (name, files, revision)))
        return SimpleNamespace(repo_url=f"https://huggingface.co/{name}")


def put_in_place(monkeypatch: pytest.MonkeyPatch) -> type[Hub]:
    """An empty hub instead of the client, and a token for it."""
    Hub.calls, Hub.error, Hub.public = [], None, False
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return Hub
