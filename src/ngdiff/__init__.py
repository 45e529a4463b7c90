"""Make a trained language model forget a *forget* set and keep a *retain* set."""

__version__ = "0.1.0"
