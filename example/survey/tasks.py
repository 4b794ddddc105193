"""What the workers run: plain functions. Nothing here knows that there is a queue.

One task looks at one file. A file that cannot be parsed is a result like any other (the standard
library has some, as test data), so it is returned and not raised.
"""

import ast
import io
import sysconfig
import time
import tokenize
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: The folder that is surveyed.
LIBRARY = Path(sysconfig.get_path("stdlib"))

#: Installed packages may lie inside the library's folder, but are no part of it.
INSTALLED = {"site-packages", "dist-packages"}

#: Tokens that only lay the text out; a file's count is about the others.
LAYOUT = {
    tokenize.ENCODING,
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}

#: All that reading Python text may raise: undecodable, unparsable, null bytes, nested too deeply.
UNPARSABLE = (SyntaxError, tokenize.TokenError, ValueError, RecursionError, MemoryError)

#: Seconds the slow task wants; it is given less.
TOO_LONG = 30


def library_files() -> list[str]:
    """Every Python file of the standard library, relative to its folder, in order."""
    files = (path.relative_to(LIBRARY) for path in LIBRARY.rglob("*.py") if path.is_file())
    return sorted(path.as_posix() for path in files if not INSTALLED.intersection(path.parts))


def analyse(path: str) -> dict[str, Any]:
    """What is in the file ``path`` of the library: counts, longest function, imported modules.

    Without times and folders, so that two surveys of one interpreter give equal results. Where the
    file cannot be parsed, ``error`` says why and the counts are 0.
    """
    source = (LIBRARY / path).read_bytes()
    found = {"path": path, "lines": len(source.splitlines()), "error": None}
    try:
        tree = _parse(source, Path(path).name)
        tokens = tokenize.tokenize(io.BytesIO(source).readline)
        count = sum(1 for token in tokens if token.type not in LAYOUT)
    except UNPARSABLE as error:
        reason = f"{type(error).__name__}: {error}"
        return found | {
            "tokens": 0,
            "functions": 0,
            "longest": None,
            "imports": [],
            "error": reason,
        }
    nodes = list(ast.walk(tree))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return found | {
        "tokens": count,
        "functions": len(functions),
        "longest": _describe(max(functions, key=_length)) if functions else None,
        "imports": sorted(set(_imports(nodes))),
    }


def fail_on_purpose() -> None:
    """Raise: what a failed task looks like. The others do not notice."""
    raise ValueError("This task fails on purpose, to show what a failure looks like.")


def exceed_the_limit() -> None:
    """Take longer than allowed: the cluster stops it and says so."""
    time.sleep(TOO_LONG)


def _parse(source: bytes, name: str) -> ast.Module:
    with warnings.catch_warnings():
        # Old files have invalid escapes; that is their business and not a line in our log.
        warnings.simplefilter("ignore")
        return ast.parse(source, name)


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _describe(node: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, Any]:
    return {"name": node.name, "line": node.lineno, "lines": _length(node)}


def _imports(nodes: list[ast.AST]) -> Iterator[str]:
    """The top name of every module that is imported by its full name."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
