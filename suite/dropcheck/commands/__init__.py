"""Commands of the command line that have files of their own; each file adds its commands to the application."""
