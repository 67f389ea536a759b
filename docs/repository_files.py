"""Hooks of the website: files of the repository outside docs/ become pages of it, or links to the repository.

``PAGES`` and ``PICTURES`` are copied into the site under the paths that they have in the repository. Links in any page
are written for the repository, as GitHub shows them. Here they become links of the site.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "results/leaderboard.md")
PICTURES = ("results/teaching/curves.png",)
LINK = re.compile(r"(\]\()([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of the repository to those of docs/."""
    for path in (*PAGES, *PICTURES):
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Return a page with its links changed to those of the site."""
    at = page.file.src_uri
    # Where the page is in the repository, and where the site has it.
    home = posixpath.dirname(at if at in PAGES else f"docs/{at}")
    here = posixpath.dirname(at)

    def changed(link: re.Match[str]) -> str:
        begin, target = link.groups()
        if re.match(r"\w+:", target):
            return link[0]
        path = posixpath.normpath(posixpath.join(home, target))
        if path.startswith("docs/") or path in (*PAGES, *PICTURES):
            return begin + posixpath.relpath(path.removeprefix("docs/"), here or ".")
        if not (ROOT / path).exists():
            return link[0]  # a dead link, which mkdocs names
        return f"{begin}{config.repo_url}/{'tree' if (ROOT / path).is_dir() else 'blob'}/main/{path}"

    return LINK.sub(changed, markdown)
