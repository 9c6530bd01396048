"""From the file to the project, or to all of its mistakes at once.

Belongs here: the order of reading, and pydantic's errors in the words of a person. Not here: any rule about a key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cvm_pipeline.config.entity_names import ENTITIES, LATER_SECTIONS
from cvm_pipeline.config.environment import ConfigChoice, environment
from cvm_pipeline.config.errors import ConfigurationError, Mistake, did_you_mean, nearest
from cvm_pipeline.config.project import Project
from cvm_pipeline.config.source_rules import Entities, name_sources, source_mistakes
from cvm_pipeline.config.yaml_tree import Loc, Tree, read_tree

_WORDS = {
    "missing": "is missing",
    "string_type": "must be a text",
    "string_too_short": "must not be empty",
    "string_too_long": "must be at most {max_length} character long",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_long": "must have at most {max_length}",
    "dict_type": "must be a section of keys",
    "model_type": "must be a section of keys",
    "tuple_type": "must be a list",
}
_DATE_ERRORS = ("date_from_datetime_parsing", "date_parsing", "date_type", "date_from_datetime_inexact")


def load_project(
    path: Path,
    environ: Mapping[str, str] | None = None,
    root: Path | None = None,
    entities: Entities = ENTITIES,
    secrets: bool = True,
) -> Project:
    """The project that a `cvm.yml` describes, validated as a whole. No file but this one is opened.

    `environ` gives the secrets (default: the process environment), `root` the folder that relative paths start from
    (default: the file's own). Without `secrets`, a variable that is not set leaves its secret open: for what only reads the
    home. Raises ConfigurationError with every mistake there is.
    """
    path = Path(path).absolute()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(path, [Mistake(0, 0, "", f"can't be read: {error.strerror}")]) from error
    tree = read_tree(content)
    if not tree.data:
        raise ConfigurationError(path, tree.mistakes or [Mistake(1, 1, "sources", "is missing")])
    name_sources(tree)
    mistakes = [*tree.mistakes, *source_mistakes(tree, entities)]
    context = {
        "environ": environment() if environ is None else environ,
        "root": path.parent if root is None else root.absolute(),
        "file": path,
        "secrets": secrets,
    }
    try:
        project = Project.model_validate(tree.data, context=context)
    except ValidationError as errors:
        # Only the errors' own fields are used: pydantic's text of them holds the input.
        found = [_mistake(error, tree) for error in errors.errors(include_url=False)]
        raise ConfigurationError(path, [*mistakes, *found]) from None
    if mistakes:
        raise ConfigurationError(path, mistakes)
    return project


def load_choice(choice: ConfigChoice, environ: Mapping[str, str] | None = None, secrets: bool = True) -> Project:
    """The project of the configuration that `choose_config` found. Raises ConfigurationError."""
    return load_project(choice.path, environ, choice.root, secrets=secrets)


def _mistake(error: ErrorDetails, tree: Tree) -> Mistake:
    loc: Loc = error["loc"]
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return tree.mistake(loc, *_unknown_key(loc))
    if kind == "cvm":
        return tree.mistake(loc, context["what"], context["hint"])
    found = _found(loc, error.get("input"))
    if kind == "literal_error":
        valid = re.findall(r"'([^']*)'", context["expected"])
        near = nearest(str(error.get("input")), valid)
        return tree.mistake(loc, f"must be one of {', '.join(valid)}{found}", f"did you mean {near}?" if near else "")
    if kind in _DATE_ERRORS:
        return tree.mistake(loc, f"must be a date{found}", "such as 2024-12-31")
    return tree.mistake(loc, _WORDS.get(kind, error["msg"]).format(**context) + ("" if kind == "missing" else found))


def _found(loc: Loc, given: Any) -> str:
    # A secret that stands where it must not is still a secret.
    if not isinstance(given, str) or loc[:2] in (("engine", "alerts"), ("publish", "dsn")):
        return ""
    return f", not {given if len(given) <= 60 else given[:60] + '...'!r}"


def _unknown_key(loc: Loc) -> tuple[str, str]:
    key = str(loc[-1])
    if len(loc) == 1 and key in LATER_SECTIONS:
        return "this section is not built yet in this version", "leave it out for now"
    valid = _keys(Project, loc[:-1])
    if nearest(key, valid) is None:
        elsewhere = [f"{section}.{key}" for section in Project.model_fields if key in _keys(Project, (section,))]
        if elsewhere:
            return f"there is no key {key!r} here", f"did you mean {elsewhere[0]}?"
    return f"there is no key {key!r}", did_you_mean(key, valid)


def _keys(model: type[BaseModel], loc: Loc) -> tuple[str, ...]:
    """The keys that are valid at a place: down the models' own annotations."""
    for part in loc:
        if isinstance(part, int):
            continue
        field = next((f for name, f in model.model_fields.items() if (f.alias or name) == part), None)
        # A key of a mapping, such as a join's alias: the model is the mapping's, already reached.
        if field is not None:
            inner = _model_in(field.annotation)
            if inner is None:
                return ()
            model = inner
    return tuple(field.alias or name for name, field in model.model_fields.items())


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner))), None)
