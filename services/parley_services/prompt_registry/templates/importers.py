"""
Prompts of other tools as contents of templates. Imports neither grpc nor protobuf.

* Plain texts: Python's format strings (`.txt`), and Jinja2 (`.j2`).
* Langfuse: the prompt objects of its public API, alone or as the list that its bulk export
  writes: https://api.reference.langfuse.com, schema `Prompt`.
* MLflow: prompt versions by the names of `mlflow.entities.PromptVersion`, or model versions
  as its REST API returns them, with the text in tags:
  https://mlflow.org/docs/latest/genai/prompt-registry. It has no file format of its own.

What has no place in a template is named in the notes rather than dropped in silence.
"""

import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from parley_services.kit.chat.message import (
    ResponseFormat,
    ResponseFormatType,
    SamplingParameters,
)
from parley_services.kit.errors import InvalidArgument
from parley_services.prompt_registry.templates.rendering import free_names_in_system, names_in
from parley_services.prompt_registry.templates.template import (
    TemplateContent,
    Variable,
)

_MUSTACHE: Final = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]{0,63})\s*\}\}")
_OPENS_JINJA: Final = re.compile(r"\{(?=[{%#]|\Z)")
_LANGFUSE_REFERENCE: Final = "@@@langfusePrompt:"

_TEXT_TAG: Final = "mlflow.prompt.text"
_FORMAT_TAG: Final = "_mlflow_prompt_response_format"
_MODEL_TAG: Final = "_mlflow_prompt_model_config"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedPrompt:
    """A prompt of another tool, as a template."""

    name: str
    content: TemplateContent
    notes: tuple[str, ...] = ()
    """What has no place in a template, and what the registry will refuse, in sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Config:
    """What a prompt says about the call, and which of it has no place."""

    model: str = ""
    parameters: SamplingParameters = field(default_factory=SamplingParameters)
    response_format: ResponseFormat = field(default_factory=ResponseFormat)
    dropped: tuple[str, ...] = ()


def from_format_string(name: str, user_text: str, system_text: str = "") -> ImportedPrompt:
    """
    Return a prompt of texts as `str.format` takes them: `{name}`, and `{{` for a brace.

    Raises InvalidArgument for a replacement that is more than a name.
    """
    return _prompt(
        name,
        _format_to_jinja(f"{name}: system", system_text),
        _format_to_jinja(f"{name}: user", user_text),
    )


def from_jinja(name: str, user_text: str, system_text: str = "") -> ImportedPrompt:
    """Return a prompt of texts that are Jinja2 already; names that they read are variables."""
    return _prompt(name, system_text, user_text)


def from_langfuse(document: object) -> list[ImportedPrompt]:
    """
    Return the prompts of an export of Langfuse, each at its newest version in it.

    Raises InvalidArgument naming each prompt that cannot be a template.
    """
    prompts = [_object(each, "prompt") for each in _list(document)]
    return [
        _from_messages(
            str(each["name"]),
            each["prompt"],
            _config(each.get("config"), format_key="response_format"),
            is_jinja=False,
        )
        for each in _newest(prompts)
    ]


def from_mlflow(document: object) -> list[ImportedPrompt]:
    """
    Return the prompts of MLflow in *document*, each at its newest version in it.

    Raises InvalidArgument naming each prompt that cannot be a template.
    """
    found = document
    if isinstance(document, Mapping):
        found = document.get("model_versions") or document.get("model_version") or document
    prompts = [_mlflow_version(_object(each, "template")) for each in _list(found)]
    return [
        _from_messages(
            str(each["name"]),
            each["template"],
            _config(each.get("model_config"), response_format=each.get("response_format")),
            is_jinja=True,
        )
        for each in _newest(prompts)
    ]


def template_name(name: str) -> str:
    """Return *name* in the form that templates have: lower case, digits and underscores."""
    made = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:64]
    if not made or not made[0].isalpha():
        made = f"prompt_{made}"[:64].rstrip("_")
    return made


def _prompt(
    name: str,
    system_text: str,
    user_text: str,
    config: _Config | None = None,
    notes: Iterable[str] = (),
) -> ImportedPrompt:
    config = config or _Config()
    names = dict.fromkeys(_names(f"{name}: user", user_text))
    names |= dict.fromkeys(_names(f"{name}: system", system_text))
    content = TemplateContent(
        system_text=system_text,
        user_text=user_text,
        variables=tuple(Variable(name=each, required=True) for each in names),
        model=config.model,
        parameters=config.parameters,
        response_format=config.response_format,
    )
    open_names = free_names_in_system(content)
    more = [f"`{each}` of its config has no place in a template." for each in config.dropped]
    more += [
        f"Its system text uses `{each}`, which the registry refuses until the variable has a "
        "schema with an enum, a number or a boolean, or the user text uses it instead."
        for each in open_names
    ]
    return ImportedPrompt(name=template_name(name), content=content, notes=(*notes, *more))


def _names(what: str, text: str) -> list[str]:
    try:
        return sorted(names_in(text))
    except ValueError as error:
        raise InvalidArgument.field(what, f"This is not Jinja2: {error}") from None


def _format_to_jinja(what: str, text: str) -> str:
    pieces: list[str] = []
    try:
        parsed = list(string.Formatter().parse(text))
    except ValueError as error:
        raise InvalidArgument.field(what, f"This is not a format string: {error}.") from None
    literals = ""
    for literal, name, spec, conversion in parsed:
        # A doubled brace comes as a literal of its own.
        literals += literal
        if name is None:
            continue
        if spec or conversion or not name.isidentifier():
            shown = name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            raise InvalidArgument.field(
                what,
                f"{{{shown[:64]}}} is more than the name of a variable: write it as Jinja2.",
            )
        pieces += (_literal(literals), "{{ " + name + " }}")
        literals = ""
    return "".join((*pieces, _literal(literals)))


def _mustache_to_jinja(text: str) -> str:
    pieces: list[str] = []
    at = 0
    for match in _MUSTACHE.finditer(text):
        pieces += (_literal(text[at : match.start()]), "{{ " + match[1] + " }}")
        at = match.end()
    return "".join((*pieces, _literal(text[at:])))


def _literal(text: str) -> str:
    """Return *text* so that Jinja2 prints it as it stands, whatever variable follows it."""
    return _OPENS_JINJA.sub("{{ '{' }}", text)


def _from_messages(name: str, prompt: object, config: _Config, *, is_jinja: bool) -> ImportedPrompt:
    """Return a prompt that is one text, the user's, or messages of roles."""
    convert = (lambda text: text) if is_jinja else _mustache_to_jinja
    if isinstance(prompt, str):
        return _prompt(name, "", convert(_checked(name, prompt)), config)
    texts: dict[str, list[str]] = {"system": [], "user": []}
    notes: list[str] = []
    for message in _list(prompt):
        if not isinstance(message, Mapping):
            raise InvalidArgument.field(name, "Its prompt is neither a text nor messages.")
        if message.get("type") == "placeholder":
            notes.append(
                f"The placeholder `{message.get('name')}` is left out: earlier messages come "
                "with the turn."
            )
            continue
        role = {"developer": "system"}.get(str(message.get("role")), str(message.get("role")))
        content = message.get("content")
        if role not in texts or not isinstance(content, str):
            raise InvalidArgument.field(
                name,
                f"A message of role {role[:32]} has no place in a template, which has one system "
                "text and one user text: earlier messages come with the turn.",
            )
        texts[role].append(convert(_checked(name, content)))
    return _prompt(name, "\n\n".join(texts["system"]), "\n\n".join(texts["user"]), config, notes)


def _checked(name: str, text: str) -> str:
    if _LANGFUSE_REFERENCE in text:
        raise InvalidArgument.field(
            name, "It refers to another prompt: export it resolved, or copy the text into it."
        )
    return text


def _config(config: object, *, format_key: str = "", response_format: object = None) -> _Config:
    given = dict(config) if isinstance(config, Mapping) else {}
    model = given.pop("model", None) or given.pop("model_name", None) or ""
    stop = given.pop("stop_sequences", None) or given.pop("stop", None) or ()
    tokens = given.pop("max_tokens", None) or given.pop("max_output_tokens", None)
    parameters = SamplingParameters(
        temperature=_number(given.pop("temperature", None)),
        top_p=_number(given.pop("top_p", None)),
        max_output_token_count=int(tokens) if isinstance(tokens, int | float) else None,
        stop_sequences=tuple(map(str, (stop,) if isinstance(stop, str) else stop)),
    )
    if format_key:
        response_format = given.pop(format_key, None)
    return _Config(
        model=str(model),
        parameters=parameters,
        response_format=_response_format(response_format),
        dropped=tuple(sorted(map(str, given))),
    )


def _response_format(given: object) -> ResponseFormat:
    """Return OpenAI's `response_format`, or a JSON Schema as it stands, as the form of answers."""
    if not isinstance(given, Mapping):
        return ResponseFormat()
    match given.get("type"):
        case "text":
            return ResponseFormat()
        case "json_object":
            return ResponseFormat(type=ResponseFormatType.JSON_OBJECT)
        case "json_schema":
            inner = given.get("json_schema")
            schema = inner.get("schema", inner) if isinstance(inner, Mapping) else inner
        case _:
            schema = given
    return ResponseFormat(
        type=ResponseFormatType.JSON_SCHEMA, json_schema=orjson.dumps(schema).decode()
    )


def _mlflow_version(each: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a prompt version; a model version of the REST API has it in its tags."""
    if "template" in each:
        return each
    raw = each.get("tags", ())
    tags = dict(raw) if isinstance(raw, Mapping) else {tag["key"]: tag["value"] for tag in raw}
    name = str(each.get("name", ""))
    if _TEXT_TAG not in tags:
        raise InvalidArgument.field(name or "document", f"It has no `{_TEXT_TAG}`: is it a prompt?")
    text = tags[_TEXT_TAG]
    return {
        "name": name,
        "version": each.get("version", 0),
        "template": _json_or(text) if text.lstrip().startswith("[") else text,
        "response_format": _json_or(tags.get(_FORMAT_TAG)),
        "model_config": _json_or(tags.get(_MODEL_TAG)),
    }


def _json_or(text: Any) -> Any:
    try:
        return orjson.loads(text) if isinstance(text, str) else text
    except orjson.JSONDecodeError:
        return text


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _list(document: object) -> Sequence[Any]:
    if isinstance(document, Mapping):
        return [document]
    if isinstance(document, list) and document:
        return document
    raise InvalidArgument.field("document", "It holds no prompt.")


def _object(value: object, key: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not value.get("name"):
        raise InvalidArgument.field("document", f"Each prompt needs a name and a {key}.")
    if key == "prompt" and key not in value:
        raise InvalidArgument.field(str(value["name"]), "It has no `prompt`.")
    return value


def _newest(prompts: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    newest: dict[str, Mapping[str, Any]] = {}
    for each in prompts:
        held = newest.get(str(each["name"]))
        if held is None or int(each.get("version") or 0) >= int(held.get("version") or 0):
            newest[str(each["name"])] = each
    yield from newest.values()
