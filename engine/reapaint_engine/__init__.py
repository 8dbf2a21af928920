"""The process that owns the model and the device."""
