"""What stands beside the editor: files, the command line and the way to the engine."""
