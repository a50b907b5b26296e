"""Stands in for @rules_shell in the offline build."""

sh_binary = native.sh_binary
