"""The address of a server and its key, and what may be shown of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import parse_qsl, urlsplit
from urllib.request import getproxies, proxy_bypass

from beliefbench.errors import UsageError

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_UNSEEN = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")
_HTML = re.compile(r"\A\s*<(?:!doctype|html|head|body)\b", re.IGNORECASE)
_UNSHOWN = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^<>]*>", re.IGNORECASE | re.DOTALL)
_EXAMPLE = "http://localhost:8000/v1"


@dataclass(frozen=True)
class Place:
    """The address of a server. Its text is the address without the secret parts.

    >>> str(Place("http://me:secret@localhost:8000/v1?token=x", "sk-123"))
    'http://localhost:8000/v1'
    """

    address: str = field(repr=False)
    key: str = field(repr=False)

    @classmethod
    def of(cls, address: str, key: str) -> Place:
        """Return the place of an address, or raise `UsageError` if it is none.

        >>> Place.of("localhost:8000/v1", "")
        Traceback (most recent call last):
        ...
        beliefbench.errors.UsageError: OPENAI_BASE_URL is 'localhost:8000/v1', which does not begin with http:// or \
https://; set it to http://localhost:8000/v1, for example.
        """
        address = address.strip().rstrip("/")
        try:
            parts = urlsplit(address)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise UsageError(f"OPENAI_BASE_URL is no address ({error}); set it to one, such as {_EXAMPLE}.") from None
        if parts.scheme in ("http", "https") and (not host or re.search(r"\s", address)):
            raise UsageError(
                f"OPENAI_BASE_URL is '{plain(address.rpartition('@')[2])}', which names no server; set it to an "
                f"address such as {_EXAMPLE}."
            )
        if parts.scheme not in ("http", "https"):
            bare = plain(address.rpartition("@")[2].partition("?")[0])
            likely = f"http://{bare}" if re.match(r"[\w.-]+(:\d+)?(/|$)", bare) else _EXAMPLE
            raise UsageError(
                f"OPENAI_BASE_URL is '{bare}', which does not begin with http:// or https://; set it to {likely}, for "
                "example."
            )
        for ending in ("/chat/completions", "/completions", "/responses", "/models"):
            if parts.path.rstrip("/").endswith(ending):
                shown = cls(address, key)
                raise UsageError(f"OPENAI_BASE_URL is '{shown}'; leave '{ending}' out, because beliefbench adds it.")
        key = key.strip()
        if not (key.isascii() and key.isprintable()):
            raise UsageError("OPENAI_API_KEY has characters that no key has; set it to the key alone, in one line.")
        return cls(address, key)

    def __str__(self) -> str:
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"

    @property
    def hint(self) -> str:
        """What may be wrong with the address, if what it answers is not what was asked for."""
        versioned = re.search(r"/v\d", urlsplit(self.address).path)
        return "" if versioned else f"; most servers answer at {self}/v1, not at {self}"

    @property
    def proxy(self) -> str:
        """The words for the proxy that requests go through, if the environment names one."""
        parts = urlsplit(self.address)
        proxies = getproxies()
        used = (parts.scheme in proxies or "all" in proxies) and not proxy_bypass(parts.netloc.rpartition("@")[2])
        return f" through the proxy of {parts.scheme.upper()}_PROXY or ALL_PROXY" if used else ""

    def scrubbed(self, text: str) -> str:
        """Return a text without the key, and the password and the parameters of the address.

        >>> Place("http://localhost", "sk-123").scrubbed("Incorrect API key: sk-123.")
        'Incorrect API key: ***.'
        """
        parts = urlsplit(self.address)
        for secret in filter(None, (self.key, parts.password, *(value for _, value in parse_qsl(parts.query)))):
            text = text.replace(secret, "***")
        return text


def plain(text: str) -> str:
    """Return a text in one line that a terminal can show: without escape sequences, characters that are not seen, and
    the tags of a page.

    >>> plain("\\x1b[31mout of\\n memory\\x1b[0m")
    'out of memory'
    >>> plain("<html><h1>502</h1> Bad &amp; Gateway</html>")
    '502 Bad & Gateway'
    """
    if _HTML.search(text[:200]):
        text = unescape(_UNSHOWN.sub(" ", text[:100_000]))
    return _UNSEEN.sub(" ", _ESCAPES.sub("", text)).strip()
