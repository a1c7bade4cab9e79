"""The command `dev` and the folder that it keeps; other commands work on that folder, too."""
