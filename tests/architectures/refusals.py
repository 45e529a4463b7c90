"""Architectures that are refused, and the reason that the message gives."""

NO_TRAINING: dict[str, str] = {}
NO_EVALUATION: dict[str, str] = {}
NO_ADAPTER: dict[str, str] = {}
