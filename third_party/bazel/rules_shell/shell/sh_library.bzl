"""Stands in for @rules_shell in the offline build."""

sh_library = native.sh_library
