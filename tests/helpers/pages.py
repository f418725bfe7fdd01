"""A page as its reader gets it, and a name that means harm."""

from __future__ import annotations

import json
from html.parser import HTMLParser

EVIL = '<script>window.hacked = 1</script>"><img src=x onerror="window.hacked = 1">'


class Page(HTMLParser):
    """Tags with their attributes, the text in sight, and the contents of scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.scripts, self._inside = [], "", [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = (tag, dict(attrs)) if tag in ("script", "style") else None

    def handle_endtag(self, tag):
        del tag
        self._inside = None

    def handle_data(self, data):
        if self._inside is None:
            self.text += data
        elif self._inside[0] == "script":
            self.scripts.append((self._inside[1], data))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    def json(self, kind):
        return [json.loads(text) for attributes, text in self.scripts if attributes.get("class") == kind]
