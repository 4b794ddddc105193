"""How the documentation is built: `make docs`."""

import sys
from pathlib import Path

import django
from django.conf import settings

FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER.parent), str(FOLDER / "extensions")]

# Models can be described only after Django is set up.
settings.configure(
    SECRET_KEY="documents only",  # noqa: S106
    INSTALLED_APPS=["django_q"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    USE_TZ=True,
)
django.setup()

from django_q import __version__  # noqa: E402 (it is found through the path above)

project = "Django Q"
author = "django-q3 contributors"
copyright = author
version = release = __version__

extensions = ["sphinx.ext.autodoc", "settings_table", "flags_table", "benchmark_tables"]
html_theme = "furo"
html_title = f"Django Q {release}"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_copy_source = False
html_show_sphinx = False

# Only what says so is Python.
highlight_language = "none"
# Docstrings write `code` as Markdown does.
default_role = "code"
# A setting or option that is referred to must exist. Types of Python are not linked.
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
