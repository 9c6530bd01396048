"""`cvm`: one module per family of commands. Words and exit codes only, no business."""
