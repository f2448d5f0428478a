"""Texts of others in a CSV file that people open in a spreadsheet."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet evaluates


def as_text(cell: str) -> str:
    """With an apostrophe before what would be a formula. Source: OWASP, CSV Injection."""
    return f"'{cell}" if len(cell) > 1 and cell.startswith(FORMULA) else cell
