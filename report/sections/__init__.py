"""One section of the page per file: `section(run)` returns it or raises UserError."""
