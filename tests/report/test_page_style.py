"""The style of pages: every line can be told from the paper and from the other lines, without its colour."""

import re

import pytest

from ngdiff.report.page import TEMPLATES
from ngdiff.report.svg import STYLES

CSS = (TEMPLATES / "page.css").read_text(encoding="utf-8")
SCHEMES = dict(zip(("light", "dark", "print"), re.findall(r"--paper: #.*?\}", CSS, flags=re.DOTALL), strict=True))


def colours(scheme: str) -> dict[str, str]:
    found = dict(re.findall(r"--([a-z0-9]+): #([0-9a-f]{3,6});", SCHEMES[scheme]))
    return {
        name: digits if len(digits) == 6 else "".join(2 * digit for digit in digits) for name, digits in found.items()
    }


def luminance(colour: str) -> float:
    """Relative luminance by WCAG 2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_contrast_of_texts_and_lines_is_that_of_wcag(scheme: str) -> None:
    own = colours(scheme)
    for name in ("ink", "soft", "link", "good", "bad"):
        assert contrast(own[name], own["paper"]) >= 4.5, name
    for style in range(STYLES):
        assert contrast(own[f"c{style}"], own["paper"]) >= 3, style


def test_lines_differ_by_their_dashes_too() -> None:
    dashes = re.findall(r"svg \.s(\d) \{ stroke: var\(--c\d\);(?: stroke-dasharray: ([\d ]+);)? \}", CSS)
    assert [int(style) for style, _ in dashes] == list(range(STYLES))
    assert len({dash for _, dash in dashes}) == STYLES
