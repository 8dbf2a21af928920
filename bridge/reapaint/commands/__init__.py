"""What each command does; ``bridge.cli`` reads the flags and shows what comes back."""
