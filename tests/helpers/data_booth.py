"""The little of a DreamBooth model that the data needs."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Booth:
    """Tokens that tell the prompts apart, and a list of what was tokenized."""

    instance_prompt: str = "a photo of sks dog"
    class_prompt: str = "a photo of a dog"
    image_size: object = 8
    tokenized: list = field(default_factory=list)

    def tokenize(self, prompts):
        self.tokenized.append(list(prompts))
        return np.array([[len(prompt), ord(prompt[-1]), 49407, 49407] for prompt in prompts])
