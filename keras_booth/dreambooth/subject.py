"""What a DreamBooth model is to learn, in words: the names of the subject and the prompts that follow from them."""

import logging
from typing import Any

from keras_booth.tools.errors import InputError, require_different


class Subject:
    """Attributes of `DreamBooth`; kept here because they are one concept. They keep `names` and `prompts` of `_parts`.

    Prompts that are not the user's own follow the names. What was made before with another prompt, such as a dataset or
    class images, stays as it is.
    """

    def _name(self, identifier, class_noun, instance_prompt=None, class_prompt=None):
        identifier, class_noun = check_names(identifier, class_noun)
        default = default_prompts(identifier, class_noun)
        self._parts.names = identifier, class_noun
        self._parts.prompts = [
            check_prompt(field, prompt) or usual
            for field, prompt, usual in zip(PROMPTS, (instance_prompt, class_prompt), default, strict=True)
        ]

    def _rename(self, **changes):
        if self.trained_steps:
            raise InputError(
                "A model that was trained knows its subject by what it was called then: make a new model for another "
                f"name. Received: {', '.join(f'{name}={value!r}' for name, value in changes.items())}"
            )
        pairs = zip(self._parts.prompts, default_prompts(*self._parts.names), strict=True)
        own = [None if prompt == default else prompt for prompt, default in pairs]
        self._name(*({"identifier": self.identifier, "class_noun": self.class_noun} | changes).values(), *own)
        for name, prompt in (("identifier", own[0]), ("class_noun", own[0]), ("class_noun", own[1])):
            if name in changes and prompt is not None and getattr(self, name).lower() not in prompt.lower():
                logging.getLogger("keras_booth").warning(
                    "%s=%r is not in the prompt %r, which stays as it was given.", name, getattr(self, name), prompt
                )

    @property
    def subject(self) -> str:
        """str: identifier and class, which call the subject up in a prompt: `"sks dog"`."""
        return f"{self.identifier} {self.class_noun}"

    @property
    def identifier(self) -> str:
        """str: the rare token that stands for the subject."""
        return self._parts.names[0]

    @identifier.setter
    def identifier(self, identifier: str):
        self._rename(identifier=identifier)

    @property
    def class_noun(self) -> str:
        """str: what the subject is."""
        return self._parts.names[1]

    @class_noun.setter
    def class_noun(self, class_noun: str):
        self._rename(class_noun=class_noun)

    @property
    def instance_prompt(self) -> str:
        """str: the prompt of the photographs."""
        return self._parts.prompts[0]

    @instance_prompt.setter
    def instance_prompt(self, prompt: str | None):
        self._name(*self._parts.names, prompt, self.class_prompt)

    @property
    def class_prompt(self) -> str:
        """str: the prompt of the class images."""
        return self._parts.prompts[1]

    @class_prompt.setter
    def class_prompt(self, prompt: str | None):
        self._name(*self._parts.names, self.instance_prompt, prompt)


PROMPTS = "instance_prompt", "class_prompt"


class Fixed:
    """An attribute of `DreamBooth` that a plain assignment would change without effect.

    Args:
        how: str. How it is changed: `"call `compile` again"`.
    """

    def __init__(self, how: str):
        self.how = how

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, model: Any, owner: type | None = None) -> Any:
        if model is None:
            return self
        try:
            return model._parts.fixed[self.name]
        except KeyError:
            raise AttributeError(self.name) from None

    def __set__(self, model: Any, value: Any) -> None:
        raise InputError(f"`{self.name}` is not changed like that: {self.how}. Received: {self.name}={value!r}")


def check_names(identifier: Any, class_noun: Any) -> list[str]:
    """Strip the identifier and the class noun; refuse what cannot name a subject."""
    names = []
    for field, name in (("identifier", identifier), ("class_noun", class_noun)):
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"`{field}` must be a word. Received: {field}={name!r}")
        names.append(name.strip())
    require_different("identifier", identifier, "class_noun", class_noun)
    return names


def check_prompt(field: str, prompt: Any) -> str | None:
    """A prompt as it was given; `None` for the default one."""
    if prompt is None or (isinstance(prompt, str) and prompt.strip()):
        return prompt
    raise InputError(f"`{field}` must be a text, or None for the default one. Received: {field}={prompt!r}")


def default_prompts(identifier: str, class_noun: str) -> tuple[str, str]:
    """`("a photo of sks dog", "a photo of a dog")`."""
    return f"a photo of {identifier} {class_noun}", f"a photo of {article(class_noun)} {class_noun}"


def article(noun: str) -> str:
    """ "a" or "an"."""
    return "an" if noun[:1].lower() in "aeiou" else "a"
