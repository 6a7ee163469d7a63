"""The documentation site: `make docs`. Pages are Markdown; the reference comes from the docstrings."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import types
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.adapters.toctree import TocTree
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging

HERE = Path(__file__).parent
TOP = HERE.parent
sys.path[:0] = [str(TOP / "wrapper"), str(TOP / "generated")]

import yandex_market_chat as package  # noqa: E402  found where the line above says

logger = logging.getLogger(__name__)

project = "yandex-market-chat"
version = release = package.__version__
copyright = "the authors of yandex-market-chat. Unofficial: not made, endorsed or supported by Yandex"

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["tests"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = project
html_copy_source = False
templates_path = ["_templates"]
# Made by redocly, beside the pages. Sphinx warns if it is not there.
html_extra_path = ["../build/contract/contract.html"]
html_sidebars = {
    "**": [
        "sidebar/brand.html", "sidebar/search.html", "sidebar/scroll-start.html", "sidebar/beside.html",
        "sidebar/navigation.html", "sidebar/scroll-end.html",
    ]
}  # fmt: skip

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autoclass_content = "both"
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
# Docstrings put code of any kind between single backticks. What is a name of ours becomes a link.
default_role = "py:obj"
nitpick_ignore_regex = [
    # Backticks hold parameters, headers and JSON too. A link to a page or an anchor is still checked.
    ("py:obj", r".*"),
    # The standard library's documentation is not here, and a build needs no network.
    ("py:(class|exc|data)", r"(asyncio|builtins|collections|contextlib|datetime|os|pathlib|ssl|types|typing)\b.*"),
    # Types that one need not name: an open binary file, and what the mock server alone passes.
    (
        "py:class",
        r"yandex_market_chat\.(_file\.BinaryReader|testing\._contract\.Contract|testing\._retention\.Contents)",
    ),
]

PUBLIC = ("yandex_market_chat", "yandex_market_chat.batch", "yandex_market_chat.testing")
#: Where files of the repository are on the site. Other files are not on it.
PAGES = {
    "README.md": "index.md",
    "README.ru.md": "ru/index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security-policy.md",
}
LINK = re.compile(r"(?<![\w\])])\[(?P<text>[^\[\]]+)\]\((?!\w+:|/|#)(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def links_of_site(text: str, folder: Path) -> str:
    """Return a page of a folder with links that lead to the same things on the site."""

    def of_site(link: re.Match[str]) -> str:
        target = (folder / link["path"]).resolve()
        if not target.exists() or not target.is_relative_to(TOP):
            return link[0]  # for MyST to complain about
        name = target.relative_to(TOP).as_posix()
        if name.startswith("docs/"):
            name = name.removeprefix("docs/")
        elif name in PAGES:
            name = PAGES[name]
        else:
            return link["text"]
        return f"[{link['text']}](/{name}{link['anchor'] or ''})"

    return LINK.sub(of_site, text)


def read_page(app: Sphinx, docname: str, content: list[str]) -> None:
    """Turn the links of a page."""
    content[0] = links_of_site(content[0], Path(app.env.doc2path(docname)).parent)


def read_included(app: Sphinx, path: Path, parent: str, content: list[str]) -> None:
    """Turn the links of an included file, which are relative to where it is."""
    content[0] = links_of_site(content[0], (HERE / path).resolve().parent)


def learn_attributes(app: Sphinx) -> None:
    """Show autodoc the docstrings of attributes: it looks for them in the module that a class names as its own.

    That is the public one, whereas the class is written in a private one.
    """
    for name in PUBLIC:
        module = importlib.import_module(name)
        public = ModuleAnalyzer.for_module(name)
        public.analyze()
        folder = Path(module.__path__[0])
        others = [folder / other.removeprefix(f"{name}.") for other in PUBLIC if other.startswith(f"{name}.")]
        for file in sorted(folder.rglob("_*.py")):
            if any(file.is_relative_to(other) for other in others):
                continue
            private = ModuleAnalyzer.for_file(file, name)
            private.analyze()
            for (owner, attribute), lines in private.attr_docs.items():
                if (owner or attribute) in module.__all__:
                    public.attr_docs[owner, attribute] = lines
            public.tagorder |= private.tagorder


def read_docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Turn a docstring of Google's style into reStructuredText; let an error name what it inherits, with links.

    Not by napoleon itself: it takes what precedes a colon for a type, in attributes and in what is returned.
    """
    if what in ("attribute", "data", "property"):
        return
    text = re.sub(r"^Returns:\n +", r"\g<0>: ", "\n".join(lines), flags=re.MULTILINE)
    text = re.sub(r"^ +misplaced: .*\n", "", text, flags=re.MULTILINE)
    lines[:] = GoogleDocstring(text, Config(napoleon_use_ivar=True), what=what, obj=obj).lines()
    if what == "exception":
        attributes = {attribute: base for base in bases(obj)[:0:-1] for attribute in own_attributes(base)}
        links = [f":py:attr:`~{base.__module__}.{base.__name__}.{name}`" for name, base in attributes.items()]
        lines += ["", "Inherited: " + ", ".join(links), ""] if links else []


def bases(public: type) -> list[type]:
    """Return a class and those it inherits from, as far as they are written here."""
    return [base for base in public.__mro__ if base.__module__.startswith(package.__name__)]


def own_attributes(public: type) -> list[str]:
    """Return the attributes that a class itself declares."""
    return [name for name in inspect.get_annotations(public) if not name.startswith("_")]


def check_reference(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn, which fails the build, about each public name that the reference lacks, or that nothing explains."""
    shown = env.domains.python_domain.objects
    for module_name in PUBLIC:
        module = importlib.import_module(module_name)
        explained = ModuleAnalyzer.for_module(module_name).attr_docs
        for name in module.__all__:
            value = getattr(module, name)
            if f"{module_name}.{name}" not in shown:
                logger.warning("%s.%s is not in docs/reference.md", module_name, name)
            if isinstance(value, type):
                missing = [f"{name}.{member}" for base in bases(value) for member in unexplained(base, explained)]
                own = vars(value).get("__doc__") or f"{name}("  # what dataclass writes where nobody did
                missing += [name] if own.startswith(f"{name}(") else []
            else:
                missing = [] if ("", name) in explained or (callable(value) and value.__doc__) else [name]
            for each in missing:
                logger.warning("%s.%s has no docstring", module_name, each)


def unexplained(public: type, explained: Container[tuple[str, str]]) -> Iterator[str]:
    """Yield the public members of a class without a docstring; that of the class may name attributes, too."""
    text = inspect.getdoc(public) or ""
    for name in own_attributes(public):
        if (public.__name__, name) not in explained and not re.search(rf"^ +{name}:", text, re.MULTILINE):
            yield name
    methods = types.FunctionType | property | classmethod | staticmethod
    for name, member in vars(public).items():
        if not name.startswith("_") and isinstance(member, methods) and not inspect.getdoc(getattr(public, name)):
            yield name


def read_signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Show of a signature what a caller passes: not the trap for positional arguments, nor what only we make."""
    if what == "class" and signature and re.search(r"\W_[a-z]\w*:", signature):
        return "", None
    return signature and signature.replace("*misplaced: ~typing.Never", "*"), returns


def speak_russian(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
    """Tell browsers and screen readers which pages are in Russian, and list the Russian pages beside them."""
    if not pagename.startswith("ru/"):
        return
    context["language"] = "ru"
    (pages,) = app.env.get_doctree("ru/index").findall(addnodes.toctree)
    tree = TocTree(app.env).resolve(pagename, app.builder, pages, prune=False, titles_only=True, includehidden=True)
    context["toctree"] = lambda **options: app.builder.render_partial(tree)["fragment"]


def setup(app: Sphinx) -> None:
    """Connect what is above."""
    app.add_lexer("csv", TextLexer)
    app.connect("builder-inited", learn_attributes)
    app.connect("source-read", read_page)
    app.connect("include-read", read_included)
    app.connect("autodoc-process-docstring", read_docstring)
    app.connect("autodoc-process-signature", read_signature)
    app.connect("env-check-consistency", check_reference)
    app.connect("html-page-context", speak_russian)
