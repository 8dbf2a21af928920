"""Fills spans from a folder of sounds, by what the prompt says."""
