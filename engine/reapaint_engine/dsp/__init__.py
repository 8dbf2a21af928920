"""Pure functions on arrays of shape (channels, frames), float32."""
