"""What all sections of `cvm.yml` have in common: frozen, strict about keys, and the kinds of value they share.

Belongs here: the base class, and values used by more than one section (shares, zones, currencies, secrets).
Not here: any section.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo
from pydantic_core import PydanticCustomError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Section(BaseModel):
    """One section: no key that it doesn't know, no change once it is read, no value that an error could leak."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True, allow_inf_nan=False
    )


def wrong(what: str, hint: str = "") -> PydanticCustomError:
    """The error of a rule: `what` is wrong, and what would help. Never the value of a secret in either."""
    # pydantic fills {braces} in the template from the context, so the words travel in the context.
    return PydanticCustomError("cvm", "{what}", {"what": what, "hint": hint})


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise wrong(f"there is no time zone {name!r}", "a name such as UTC, Europe/Berlin or Asia/Shanghai") from error
    return name


def _currency(code: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", code):
        raise wrong(f"{code!r} is not a currency", "three capital letters of ISO 4217, such as EUR")
    return code


def _secrets_are_needed(info: ValidationInfo) -> bool:
    return bool((info.context or {}).get("secrets", True))


def left_open(secret: str, info: ValidationInfo) -> bool:
    """Whether a secret stands there by its variable's name alone: it is not set, and what is done with the project needs none."""
    return not _secrets_are_needed(info) and bool(_VARIABLE.search(secret))


def _substitute(text: Any, info: ValidationInfo) -> Any:
    if not isinstance(text, str):
        return text
    environ: Mapping[str, str] = (info.context or {}).get("environ", {})
    names = _VARIABLE.findall(text)
    missing = [name for name in names if not environ.get(name)]
    if missing and not _secrets_are_needed(info):
        return text
    if missing:
        raise wrong(
            f"the environment variable {', '.join(missing)} is not set", f"export {missing[0]}=... before the run"
        )
    return _VARIABLE.sub(lambda match: environ[match[1]], text)


def _only_by_variable(text: Any, info: ValidationInfo) -> Any:
    if isinstance(text, str) and not _VARIABLE.search(text):
        raise wrong("a secret may not stand in the file", "put it into an environment variable and write ${NAME}")
    return _substitute(text, info)


def _no_variable(text: str) -> str:
    if _VARIABLE.search(text):
        raise wrong("environment variables are read for secrets only", "valid in engine.alerts and publish.dsn")
    return text


def not_empty(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse an empty list. (pydantic's own minimum counts the items that are right, not those given.)"""
    if not items:
        raise wrong("must list at least one")
    return items


Share = Annotated[float, Field(ge=0, le=1)]
Zone = Annotated[str, AfterValidator(_known_zone)]
Currency = Annotated[str, AfterValidator(_currency)]
Word = Annotated[str, Field(min_length=1), AfterValidator(_no_variable)]
# A secret must come from the environment; a credential may (a user's name is often no secret). Neither is ever shown.
Secret = Annotated[SecretStr, BeforeValidator(_only_by_variable)]
Credential = Annotated[SecretStr, BeforeValidator(_substitute)]
