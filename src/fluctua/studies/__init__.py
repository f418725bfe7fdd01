"""One module or folder for each paper, imported on demand."""
