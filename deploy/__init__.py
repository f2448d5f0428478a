"""Exported students: `from deploy import Student`, which requires no PyTorch."""

from deploy.student import Student, Tags

__all__ = ["Student", "Tags"]
