"""What each command does; ``reapaint.commands.cli`` reads the flags and shows what comes back."""
