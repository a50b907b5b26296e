"""Stands in for @rules_shell in the offline build."""

sh_test = native.sh_test
