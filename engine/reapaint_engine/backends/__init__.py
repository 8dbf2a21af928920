"""One file or folder for each way to fill a mask."""
