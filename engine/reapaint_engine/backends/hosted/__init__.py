"""Backends that call a hosted service: a window goes out, only the span comes into the audio."""
