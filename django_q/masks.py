"""Values as they may be shown: with everything secret masked. Pure."""

import re
from collections.abc import Mapping
from typing import Any

#: What stands in the place of a secret.
MASK = "***"
#: Names of what nobody should read over a shoulder. Rather one too many.
_SECRET = re.compile(r"pass|secret|token|auth|credential|key|dsn", re.IGNORECASE)
#: User and password of a URL, up to the last @: a password may hold one.
_LOGIN = re.compile(r"://[^\s]*@")
#: Parameters of a URL that are secrets.
_PARAMETER = re.compile(r"([?&][^=&\s]*(?:pass|secret|token|auth|key)[^=&\s]*=)[^&\s]*", re.I)


def masked(value: Any, name: str = "") -> Any:
    """Give a value with the secrets in it replaced: by their names, and in URLs."""
    if value is None or value == "" or isinstance(value, bool):
        return value
    if _SECRET.search(name):
        return MASK
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, Mapping):
        return {str(key): masked(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(inner, name) for inner in value]
    return _PARAMETER.sub(rf"\1{MASK}", _LOGIN.sub(f"://{MASK}@", str(value)))


def shown(value: Any, name: str = "") -> str:
    """Give what a message may show of a value: its repr, masked where there is something secret."""
    hidden = masked(value, name)
    return repr(value if str(value) == hidden else hidden)
