"""The errors of this package, under one base."""


class ImageScribeError(Exception):
    """Base of every error that this package raises itself."""


class SettingsError(ImageScribeError):
    """A setting is missing or out of range. The function cannot start."""


class MalformedMessageError(ImageScribeError):
    """A message does not tell of an upload in any shape that is known."""


class NoApiKeyError(ImageScribeError):
    """The secret holds no API key yet."""


class OutOfTimeError(ImageScribeError):
    """The invocation is over: what is left of an image's way is for its next delivery."""
