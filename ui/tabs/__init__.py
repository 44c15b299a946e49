"""The tabs of the page, one module or folder each: `TITLE` and `build(page)`."""
