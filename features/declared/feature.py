"""One feature as app.toml declares it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from croupier.features.spec_values import Clip, Strict


class Feature(Strict):
    """One declared feature. Numbers may be clipped, logged, standardised; strings (and true, false) become a vocabulary
    with `<unk>`, lists of strings one with a column for each word; float lists pass through; times become cyclic hour
    and weekday. What lies in nested objects is named with dots: [context."device.type"]."""

    type: Literal["numeric", "categorical", "tags", "embedding", "timestamp", "text"] = Field(
        description="a number, a string, a list of strings, a list of floats of one length, or a time (ISO 8601, or "
        "seconds since 1970); text, which is free text, is refused until a later version encodes it"
    )
    strings: bool = Field(
        False,
        exclude_if=lambda given: not given,  # older versions did not know it: what they encoded stays
        description='numbers may be sent as text, such as "31.5", and are numbers then',
    )
    transform: Literal["standardise", "log", "none"] = Field(
        "standardise", description="of numbers: to mean 0 and variance 1, the logarithm first, or as they are"
    )
    clip: Clip | None = Field(None, description="numbers are cut to [low, high] first; inf leaves a side open")
    max_vocabulary: int = Field(256, gt=0, description="most strings that are told apart; rarer ones become `<unk>`")
    min_count: int = Field(1, gt=0, description="rows of the fit that must have a string for it to be told apart")
    length: int = Field(0, ge=0, description="of an embedding: how many floats are in it")

    @model_validator(mode="after")
    def _embedding_has_length(self) -> Self:
        if self.type == "embedding" and self.length == 0:
            raise ValueError("an embedding needs `length`, the number of floats in it")
        return self

    @model_validator(mode="after")
    def _text_is_for_later(self) -> Self:
        if self.type == "text":
            raise ValueError(
                "expected another type: free text is read by the text encoder of a later version; leave it out, or "
                "send words as tags, or an embedding of your own"
            )
        if self.strings and self.type != "numeric":
            raise ValueError(f"expected strings = true of numbers alone, not of {self.type}")
        return self
