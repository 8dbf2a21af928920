"""Audio formats: one module for each family of files, and what they share."""
