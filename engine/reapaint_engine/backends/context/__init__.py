"""The context backend: fills a span from the sound around it, without a model."""
