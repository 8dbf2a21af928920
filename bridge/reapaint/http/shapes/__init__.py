"""The HTTP APIs that the gateway answers as: WaveSpeed's, eachlabs' and fal's."""
