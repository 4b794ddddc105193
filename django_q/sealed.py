"""Packages as sealed text: producers seal, a worker's main thread opens.

Opening is user code where the text holds a pickle.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from django.utils import timezone

from django_q import signing
from django_q.conf import Conf
from django_q.disguise import DISGUISED
from django_q.exceptions import PackageError, PackageRejected, PayloadTooLarge
from django_q.package import TaskPackage, function_path

#: Length of the largest sealed package that is opened at once: well below a millisecond.
_SMALL = 2**16
#: What a package must have; `func` is a dotted path or a callable.
_KINDS: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "name": str,
    "args": (tuple, list),
    "kwargs": dict,
    "started": datetime,
}
#: What these mostly are, in their order.
_USUAL = (str, str, tuple, dict, datetime)


def seal_package(package: TaskPackage, queue: str, *, as_bytes: bool = False) -> str:
    """Seal a package for a queue: text that only this project's clusters of that queue open.

    `as_bytes`: it goes to a broker with `carries_bytes`.

    Raises PackageError that names the argument which cannot be pickled, and PayloadTooLarge for a
    package that no worker would open.
    """
    return seal_packages([package], queue, as_bytes=as_bytes)[0]


def seal_packages(
    packages: Sequence[TaskPackage], queue: str, *, as_bytes: bool = False
) -> list[str]:
    """Seal packages as `seal_package` does each; what is the same of them is made once."""
    sealed: list[str] = []
    seal = None
    for package in packages:
        try:
            seal = seal or _sealer(queue, as_bytes)
            payload = seal(package)
        except Exception as error:  # pickling runs code of the arguments: anything may come out
            raise PackageError(_why_unsealable(package, error)) from error
        # What is shorter than its contents may be need not be reckoned.
        if len(payload) > Conf.MAX_PACKAGE and _length(payload) > _largest_payload():
            path, reason = function_path(package["func"]), _too_large(payload)
            raise PayloadTooLarge(f"{path}: {reason} Pass a reference to the data instead.")
        sealed.append(payload)
    return sealed


def _sealer(queue: str, as_bytes: bool) -> Callable[[TaskPackage], str]:
    if Conf.LEGACY == "write":
        return signing.SignedPackage.dumps
    seal = signing.sealer(Conf.version, "task", queue, Conf.SERIALIZER, as_bytes)
    now, moments = signing.now(), dict[int, str | None]()
    return lambda package: seal(_travelling(package, moments), now)


def _travelling(package: TaskPackage, moments: dict[int, str | None]) -> Any:
    """Write the moment of a package as text, which is a tenth of the work of its pickle.

    Only where nothing of it is lost. `moments`: texts of those that were written before, by id.
    """
    started = package["started"]
    if (place := id(started)) not in moments:
        is_whole = type(started) is datetime and started.tzinfo in (None, UTC) and not started.fold
        moments[place] = started.isoformat() if is_whole else None
    text = moments[place]
    return package if text is None else {**package, "started": text}


def open_package(payload: str, queue: str, *, at_any_age: bool = False) -> TaskPackage:
    """Open sealed text that came from this queue. Runs user code (unpickling).

    Raises PackageRejected with the reason when it is not a task for this queue.
    """
    try:
        package = _unseal(payload, queue)
    except signing.BadSignature as error:
        raise PackageRejected(
            f"The package's signature does not match ({_printable(error)}): it was sealed with "
            "another SECRET_KEY, project name or queue, or it was changed on its way."
        ) from error
    except PackageRejected:
        raise
    except Exception as error:  # unpickling runs any code
        raise PackageRejected(
            f"The package cannot be read: {type(error).__name__}: {_printable(error)}. "
            "Was a class or module that it needs moved or removed?"
        ) from error
    return _checked(package, payload, at_any_age=at_any_age)


def open_plain(payload: str, queue: str) -> TaskPackage | None:
    """Open a small package without code of its own: it can neither hang nor end its process.

    None for any other, and for one that `open_package` would reject.
    """
    if len(payload) > min(_SMALL, Conf.MAX_PACKAGE):
        return None
    try:
        return _checked(signing.unseal_plain(payload, "task", queue), payload)
    except Exception:  # of those that are to be rejected, `open_package` will say why
        return None


def _unseal(payload: str, queue: str) -> Any:
    if _length(payload) > _largest_payload():
        raise PackageRejected(_too_large(payload))
    if not signing.is_legacy(payload):
        return signing.unseal(payload, "task", queue)
    if Conf.LEGACY == "off":
        raise PackageRejected(
            "The package has Django Q's format, which Q_CLUSTER[\"legacy\"] = 'off' refuses."
        )
    return signing.SignedPackage.loads(payload)


def _length(payload: str) -> int:
    """Count characters; of bytes in disguise those of their base64, which they may become.

    So the limit is the same with each broker. The mark has two characters in either form.
    """
    return 2 + len(payload) // 3 * 4 if payload.startswith(DISGUISED) else len(payload)


def _largest_payload() -> int:
    """Give the length of the text around the largest package: base64, time and signature."""
    return int(Conf.MAX_PACKAGE) * 4 // 3 + 256


def _too_large(payload: str) -> str:
    return (
        f"The package has {len(payload)} bytes once sealed, more than "
        f'Q_CLUSTER["max_package"] ({Conf.MAX_PACKAGE}) allows.'
    )


def _check_age(package: TaskPackage, sealed: float) -> None:
    """Count from when it was to run, or was sealed: who keeps a copy cannot send it for ever."""
    run_at = package.get("run_at")
    since = max(sealed, run_at.timestamp() if isinstance(run_at, datetime) else 0.0)
    age = timezone.now().timestamp() - since
    if age > Conf.PACKAGE_MAX_AGE:
        raise PackageRejected(
            f"The package is {age:.0f} s old, more than "
            f'Q_CLUSTER["package_max_age"] ({Conf.PACKAGE_MAX_AGE:g} s) allows.'
        )


def _checked(package: Any, payload: str, *, at_any_age: bool = False) -> TaskPackage:
    """Give what a payload held as a task's package. Raises PackageRejected where it is none."""
    _check_opened(_arrived(package))
    if Conf.PACKAGE_MAX_AGE is not None and not at_any_age:
        _check_age(package, signing.sealed_at(payload))
    return cast(TaskPackage, package)


def _arrived(package: Any) -> Any:
    """Undo what `_travelling` did, in place; a text that is no moment stays one."""
    if isinstance(package, dict) and type(package.get("started")) is str:
        try:
            package["started"] = datetime.fromisoformat(package["started"])
        except ValueError:
            return package
    return package


def _check_opened(package: Any) -> None:
    if not isinstance(package, dict):
        raise PackageRejected(f"The package holds a {type(package).__name__}, not a task.")
    # Quicker to see than what each one is.
    if tuple(map(type, map(package.get, _KINDS))) != _USUAL:
        _check_kinds(package)
    func = package.get("func")
    if not 0 < len(package["id"]) <= 32 or not (isinstance(func, str) or callable(func)):
        raise PackageRejected("The package has no usable 'id' or 'func'.")


def _check_kinds(package: dict[str, Any]) -> None:
    for key, kind in _KINDS.items():
        if not isinstance(package.get(key), kind):
            shown = _short(package.get(key))
            raise PackageRejected(f"The package has no usable {key!r}: {shown}.")


def _why_unsealable(package: TaskPackage, error: Exception) -> str:
    """Find which part of the package cannot be pickled, or written as JSON, by trying each."""
    written = "written as JSON" if Conf.SERIALIZER == "json" else "pickled"
    parts = [(f"argument {n}", value) for n, value in enumerate(package["args"], 1)]
    parts += [(f"argument {key!r}", value) for key, value in package["kwargs"].items()]
    parts += [
        (f"option {key!r}", value)
        for key, value in package.items()
        if key not in ("args", "kwargs")
    ]
    for name, value in parts:
        try:
            signing.serialized(value, Conf.SERIALIZER)
        except Exception as cause:
            what = f"{name} ({type(value).__name__} {_short(value)})"
            return f"{function_path(package['func'])}: {what} cannot be {written}: {cause}"
    return f"{function_path(package['func'])}: the task cannot be packed: {error}"


def _printable(error: Exception) -> str:
    """Give the text of an error as every database stores it: it may quote the foreign package."""
    return str(error)[:200].encode("unicode_escape").decode()


def _short(value: Any) -> str:
    try:
        return f"{value!r:.80}"
    except Exception:  # a failing __repr__ must not hide the error it is to explain
        return "without a working repr()"
