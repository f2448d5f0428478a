"""A section of the page a file: `section(run)` gives it or raises UserError that says why not."""
