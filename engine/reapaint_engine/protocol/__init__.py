"""The contract between the bridge and the engine: messages, codec, errors, spans."""
