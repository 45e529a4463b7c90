"""Types in signatures lead to the entry of their public name: `ngdiff.data.rows.Row` is `ngdiff.data.Row`."""

from importlib import import_module
from typing import Any

from docutils.nodes import Element, reference
from generated_pages import PACKAGES
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def _resolve(app: Sphinx, env: BuildEnvironment, node: Element, content: Element) -> reference | None:
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith("ngdiff."):
        return None
    last = target.rpartition(".")[2]
    for package in PACKAGES:
        name = f"ngdiff.{package}"
        module = import_module(name)
        if target == f"{name}.{last}" or last not in getattr(module, "__all__", ()):
            continue
        defined_in = getattr(getattr(module, last), "__module__", None)
        if target.startswith(f"{name}.") or target == f"{defined_in}.{last}":
            domain = env.get_domain("py")
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", f"{name}.{last}", node, content)
    return None


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True}
