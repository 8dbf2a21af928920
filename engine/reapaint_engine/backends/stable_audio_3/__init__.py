"""The Stable Audio 3 backend: fills a span by the model's own inpainting."""
