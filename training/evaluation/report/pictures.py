"""From a drawing of matplotlib to a part of a page: named, described, and with ids that no other part has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from markupsafe import Markup

_SVG = "http://www.w3.org/2000/svg"
_LINK = "http://www.w3.org/1999/xlink"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")

ET.register_namespace("", _SVG)
ET.register_namespace("xlink", _LINK)


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure of the page: its markup, and what it shows in a line."""

    svg: Markup
    caption: str


def picture(drawn: str, key: str, title: str, described: str, caption: str = "") -> Picture:
    """The drawing as an image with a name and a description for those who hear the page.

    `key` is unlike that of any other picture of the page: ids begin with it.
    """
    root = ET.fromstring(drawn)  # noqa: S314 - our own drawing
    for element in list(root):
        if element.tag in {f"{{{_SVG}}}metadata", f"{{{_SVG}}}title"}:
            root.remove(element)
    for above in list(root.iter()):
        for element in above.findall(f"{{{_SVG}}}style"):
            # Within a page it would be about the whole page.
            above.remove(element)
        _rename(above, key)
    for name, text in (("desc", described), ("title", title)):
        part = ET.Element(f"{{{_SVG}}}{name}", {"id": f"{key}-{name}"})
        part.text = text
        root.insert(0, part)
    width, height = (float(root.attrib.pop(side).removesuffix("pt")) * 4 / 3 for side in ("width", "height"))
    root.attrib |= {
        "width": f"{width:.0f}",
        "height": f"{height:.0f}",
        "style": "stroke-linejoin: round; stroke-linecap: butt",
        "role": "img",
        "aria-labelledby": f"{key}-title",
        "aria-describedby": f"{key}-desc",
    }
    return Picture(Markup(ET.tostring(root, encoding="unicode")), caption or title)  # noqa: S704 - made of elements, not of text


def _rename(element: ET.Element, key: str) -> None:
    for name, value in element.attrib.items():
        if name == "id":
            element.attrib[name] = f"{key}-{value}"
        elif name in {"href", f"{{{_LINK}}}href"} and value.startswith("#"):
            element.attrib[name] = f"#{key}-{value[1:]}"
        elif "url(#" in value:
            element.attrib[name] = _REFERENCE.sub(rf"url(#{key}-\1)", value)
